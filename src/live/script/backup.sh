# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host and compresses it. $1: the folder; $2: its name; $3: the program that
# compresses, or nothing; $4: etcdctl; $5: the endpoint; $6: ca.crt; $7 and $8: the bytes of the certificate and key on
# stdin.
folder=$1 name=$2 program=$3
[ -z "$program" ] || command -v "$program" >/dev/null || refuse "there is no $program on this host: install it," \
    "or choose another compression (--compression)"
[ ! -e "$folder/$name" ] || refuse "$folder/$name is there already"
save "$folder" "$4" "$5" "$6" "$7" "$8"
if [ -n "$program" ]; then
    "$program" -q <"$staged/db" >"$staged/packed" || refuse "$program could not compress the snapshot: is there room in $folder?"
    # What cannot be unpacked is no snapshot.
    sum=$("$program" -d -c -q <"$staged/packed" | head -c "$((size - 32))" | sha256sum)
    [ "${sum%% *}" = "$ends" ] || refuse "what $program wrote is not what it was given"
    mv -T -f -- "$staged/packed" "$staged/db"
    chmod 600 "$staged/db"
    sync "$staged/db"
fi
mv -T -n -- "$staged/db" "$folder/$name"
sync "$folder"

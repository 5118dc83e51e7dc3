# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host and compresses it. $1: the folder; $2: its name; $3: the program that
# compresses, or nothing; $4: the cluster's id; $5: etcdctl; $6: the endpoint; $7: ca.crt; $8 and $9: the bytes of the
# certificate and key on stdin.
folder=$1 name=$2 program=$3 cluster=$4 etcdctl=$5
[ -z "$program" ] || command -v "$program" >/dev/null || refuse "there is no $program on this host: install it," \
    "or choose another compression (--compression)"
[ ! -e "$folder/$name" ] || refuse "$folder/$name is there already"
save "$folder" "$etcdctl" "$6" "$7" "$8" "$9"
# etcdctl cannot do it from 3.6 on, and 3.4 has nothing else.
tool=${etcdctl%/*}/etcdutl
[ -x "$tool" ] || tool=$etcdctl
said=$(ETCDCTL_API=3 "$tool" -w json snapshot status "$staged/db" 2>/dev/null </dev/null) ||
    refuse "${tool##*/} snapshot status cannot read what was saved"
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
# What is known of it besides its bytes, for the list of snapshots.
revision=$(echo "$said" | sed -n 's/.*"revision":\([0-9]*\).*/\1/p')
printf '{"cluster_id":"%s","revision":%d}\n' "$cluster" "$revision" >"$staged/facts"
chmod 600 "$staged/facts"
mv -T -f -- "$staged/facts" "$folder/$name.json"

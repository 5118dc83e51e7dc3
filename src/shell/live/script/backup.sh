# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host and compresses it. $1: the folder; $2: its name; $3: the program that
# compresses, or nothing; $4: etcd's data; $5: whether the folder must be on a mount; $6: etcdctl; $7: the endpoint; $8:
# ca.crt; then the bytes of the certificate and key on stdin.
folder=$1 name=$2 packer=$3 data=$4 mount_wanted=$5 etcdctl=$6
shift 5
copies=2
[ -n "$packer" ] || copies=1
[ -z "$packer" ] || command -v "$packer" >/dev/null || refuse "there is no $packer on this host: install it," \
    "or choose another compression (--compression)"
[ ! -e "$folder/$name" ] || refuse "$folder/$name is there already"
save "$folder" "$@" "$data" "$copies" "$mount_wanted"
tool=$(tool_in "${etcdctl%/*}")
said=$(ETCDCTL_API=3 "$tool" -w json snapshot status "$staged/db" 2>/dev/null </dev/null) ||
    refuse "${tool##*/} snapshot status cannot read what was saved"
if [ -n "$packer" ]; then
    "$packer" -q <"$staged/db" >"$staged/packed" || refuse "$packer could not compress the snapshot: is there room in $folder?"
    # What cannot be unpacked is no snapshot.
    "$packer" -t -q <"$staged/packed" || refuse "what $packer wrote cannot be unpacked"
    sum=$("$packer" -d -c -q <"$staged/packed" | sha256sum)
    whole=$(sha256sum <"$staged/db")
    [ "$sum" = "$whole" ] || refuse "what $packer wrote is not what it was given"
    mv -T -f -- "$staged/packed" "$staged/db"
    chmod 600 "$staged/db"
    sync "$staged/db"
fi
mv -T -n -- "$staged/db" "$folder/$name"
[ ! -e "$staged/db" ] || refuse "$folder/$name is there already"
sync "$folder"
# What is known of it besides its bytes, for the list of snapshots.
revision=$(echo "$said" | sed -n 's/.*"revision":\([0-9]*\).*/\1/p')
describe "$folder/$name" "$(printf '"revision":%d,' "$revision")"

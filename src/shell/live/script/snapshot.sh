# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host. $1: the folder; $2: the version that comes next, or "change" for another
# change; $3: etcd's data; $4: etcdctl; $5: the endpoint; $6: ca.crt; $7 and $8: the bytes of the certificate and key on
# stdin.
folder=$1 before=$2 data=$3
shift 3
save "$folder" "$@" "$data" 1
# Not over another one: two of one second would be of the same state.
mv -T -f -- "$staged/db" "$folder/before-$before-$(date +%Y%m%d-%H%M%S).db"
sync "$folder"
# Those before other changes would fill the disk in time. One before an upgrade stays: it is the way back.
if [ "$before" = change ]; then
    # Newest first by their names.
    find "$folder" -maxdepth 1 -name 'before-change-[0-9]*.db' | sort -r | tail -n +4 | while read -r old; do
        rm -f -- "$old"
    done
fi

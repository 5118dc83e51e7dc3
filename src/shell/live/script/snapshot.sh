# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host. $1: the folder; $2: the version that comes next, or "change" for another
# change; $3: etcd's data; $4: whether the folder must be on a mount; $5: etcdctl; $6: the endpoint; $7: ca.crt; $8 and $9:
# the bytes of the certificate and key on stdin.
folder=$1 before=$2 data=$3 mount_wanted=$4
shift 4
save "$folder" "$@" "$data" 1 "$mount_wanted"
# Not over another one, which may be of another cluster.
path=$folder/before-$before-$(date +%Y%m%d-%H%M%S).db
[ ! -e "$path" ] || path=$folder/before-$before-$(date -d '1 second' +%Y%m%d-%H%M%S).db
mv -T -n -- "$staged/db" "$path"
[ ! -e "$staged/db" ] || refuse "$path is there already"
describe "$path" ''
sync "$folder"
# Those before other changes would fill the disk in time. One before an upgrade stays: it is the way back. Those of other
# clusters are not ours to remove.
if [ "$before" = change ] || [ "$before" = restore ]; then
    # Newest first by their names.
    stay=3
    find "$folder" -maxdepth 1 -name "before-$before-[0-9]*.db" | sort -r | while read -r old; do
        is_ours "$old" || continue
        if [ "$stay" -gt 0 ]; then
            stay=$((stay - 1))
        else
            rm -f -- "$old.json" "$old"
        fi
    done
fi

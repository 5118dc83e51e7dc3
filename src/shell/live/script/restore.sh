# shellcheck shell=dash disable=SC2034,SC2154
# Makes the data directory of this member from a snapshot. $1: the data directory; $2: the folder of the binaries; $3:
# the snapshot; $4: the member's name; $5: all members; $6: the token; $7: its peer URL; $8: the account, which is empty where the
# directory that is there, or the unit, says it; then the bytes
# of the mark, which comes on stdin, its name, and how far the revisions go on.
data=$1 binaries=$2 snapshot=$3 name=$4 cluster=$5 token=$6 url=$7 account=$8
shift 8
mode=700
if [ -n "$account" ]; then
    user=$account group=$account
elif [ -d "$data" ]; then
    # Of somebody else's etcd.
    user=$(stat -L -c %u "$data") group=$(stat -L -c %g "$data") mode=$(stat -L -c %a "$data")
else
    user=$(owner_of_data | head -n 1) group=$(owner_of_data | tail -n 1)
fi
is_dead || refuse "$etcd still runs here"
[ ! -e "$data/member" ] || refuse "$data holds a member already"
[ -f "$snapshot" ] || refuse "there is no $snapshot"
tool=$(tool_in "$binaries")
beside=${data%/*}/
is_own_disk=
if [ -L "$data" ] || mountpoint -q -- "$data"; then
    beside=$data/
    is_own_disk=yes
fi
staged=$beside.restore-data.quorate
rm -rf -- "$staged"
leftover=$staged
mkdir -m 700 "$staged"
mark_bytes=$1 mark=$2 bump=$3
set -- --name="$name" --initial-cluster="$cluster" --initial-cluster-token="$token" \
    --initial-advertise-peer-urls="$url" --data-dir="$staged/data"
# Clients that watch have seen revisions that the snapshot knows nothing of: they must not meet them again with other
# content, and are told that what they have is compacted.
case $(ETCDCTL_API=3 "$tool" snapshot restore --help 2>&1 </dev/null) in
*--mark-compacted*) set -- "$@" --bump-revision="$bump" --mark-compacted ;;
esac
said=$(ETCDCTL_API=3 "$tool" snapshot restore "$snapshot" "$@" 2>&1 </dev/null) ||
    refuse "${tool##*/} snapshot restore: $said"
[ -d "$staged/data/member" ] || refuse "${tool##*/} made no member"
stage "$staged/data/$mark" "$mark_bytes" 600 "$user" "$group"
chown -R "$user:$group" "$staged/data"
chmod "$mode" "$staged/data"
sync -f "$staged"
if [ -n "$is_own_disk" ]; then
    mv -T -- "$staged/data/member" "$data/member"
    mv -T -f -- "$staged/data/$mark" "$data/$mark"
    chown "$user:$group" "$data/."
    chmod "$mode" "$data/."
    sync "$data/."
else
    # Over an empty folder, and over no other.
    mv -T -- "$staged/data" "$data"
fi
sync "$beside"

# shellcheck shell=dash disable=SC2034,SC2154
# Takes a snapshot that is to be restored, which comes on stdin. $1: where it goes, beside the data; $2: its bytes; $3: the
# SHA-256 that it ends in; $4: the data directory; $5: the folder of the binaries.
path=$1 bytes=$2 digest=$3 data=$4 binaries=$5
folder=${path%/*}/
beside=$folder
if [ -L "$data" ] || mountpoint -q -- "$data"; then
    beside=$data/
fi
# The file itself, the database that is made of it, and some room for etcd, which allocates 64 MB for each part of its log.
needed=$((bytes / 1024))
total=$((needed + 131072))
if [ "$(stat -c %d "$folder")" = "$(stat -c %d "$beside")" ]; then
    total=$((total + needed))
fi
[ "$(free_in "$folder")" -gt "$needed" ] || refuse "the snapshot takes $((needed / 1024)) MiB, and $folder has" \
    "$(($(free_in "$folder") / 1024)) MiB free: make room first"
[ "$(free_in "$beside")" -gt "$total" ] || refuse "restoring takes $((total / 1024)) MiB, and $beside has" \
    "$(($(free_in "$beside") / 1024)) MiB free: make room first"
staged=$folder.restore.quorate
rm -f -- "$staged"
leftover=$staged
stage "$staged" "$bytes" 600 root root
sum=$(head -c "$((bytes - 32))" "$staged" | sha256sum)
[ "${sum%% *}" = "$digest" ] || refuse "the snapshot that arrived is not the one that was sent: its SHA-256 is ${sum%% *}"
# A member whose database was damaged sends it whole: then nothing must stop for it.
tool=$(tool_in "$binaries")
[ -x "$tool" ] || refuse "${tool:-etcdutl} is not there: it restores the snapshot. A package may have it apart (etcd-client)"
said=$(ETCDCTL_API=3 "$tool" snapshot status "$staged" 2>&1 </dev/null) ||
    refuse "the snapshot cannot be read, though its SHA-256 is right: ${tool##*/} snapshot status says" \
        "$(echo "$said" | head -n 1)"
mv -T -f -- "$staged" "$path"
leftover=
sync "$folder"

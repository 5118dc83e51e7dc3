# shellcheck shell=dash
# Checks the snapshot in /work, compresses it into /snapshots, and lets the oldest there go.
set -eu
LC_ALL=C TZ=UTC
export LC_ALL TZ
umask 077
from=/work/snapshot.db to=/snapshots
# Whole pages, and then their SHA-256: one that is cut short has none.
bytes=$(wc -c <"$from")
sum=$(head -c "$((bytes - 32))" "$from" | sha256sum)
ends=$(tail -c 32 "$from" | od -An -v -tx1 | tr -d ' \n')
if [ "$((bytes % 512))" != 32 ] || [ "${sum%% *}" != "$ends" ]; then
    echo "the snapshot is not whole: it has $bytes bytes" >&2
    exit 1
fi
name=snapshot-$(date +%Y%m%d_%H%M%S).db.gz
# What a job that was killed has left.
rm -f "$to"/.snapshot.*
staged=$to/.snapshot.$$
trap 'rm -f "$staged"' EXIT
gzip -c <"$from" >"$staged"
gzip -t <"$staged"
sync
mv "$staged" "$to/$name"
sync
echo "$to/$name"
# The newest stays, which has just been checked.
for path in "$to"/snapshot-[0-9]*_[0-9]*.db.gz; do
    echo "$path"
done | sort -r | tail -n +"$((KEEP + 1))" | while read -r path; do
    [ "$path" = "$to/$name" ] || rm -f "$path"
done

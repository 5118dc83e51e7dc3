# shellcheck shell=dash
# Tells the finished snapshots in a folder, which it only reads: size and name of each.
LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
echo quorate-begin
cd "$1" 2>/dev/null || exit 0
for name in snapshot-*.db snapshot-*.db.zst snapshot-*.db.gz; do
    [ ! -f "$name" ] || stat -c '%s %n' -- "$name"
done
exit 0

# shellcheck shell=dash disable=SC2034,SC2154
# Removes snapshots that are older than those that stay. $1: the folder; $2: how many stay; their names, the newest first;
# then the names of those that go. One that stays must be whole, or nothing goes.
folder=$1 stay=$2
shift 2

# Whole pages, and then their SHA-256.
is_whole() {
    [ -f "$1" ] || return 1
    bytes=$(unpack "$1" 2>/dev/null | wc -c)
    [ "$((bytes % 512))" = 32 ] || return 1
    sum=$(unpack "$1" 2>/dev/null | head -c "$((bytes - 32))" | sha256sum)
    ends=$(unpack "$1" 2>/dev/null | tail -c 32 | od -An -v -tx1 | tr -d ' \n')
    [ "${sum%% *}" = "$ends" ]
}

whole=
while [ "$stay" -gt 0 ]; do
    if [ -z "$whole" ] && is_whole "$folder/$1"; then
        whole=$1
    fi
    shift
    stay=$((stay - 1))
done
[ -n "$whole" ] || refuse "none of the snapshots to keep in $folder is intact: nothing was deleted"
for name; do
    rm -f -- "$folder/$name.json" "$folder/$name"
done
sync "$folder"

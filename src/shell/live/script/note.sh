# shellcheck shell=dash disable=SC2034,SC2154
# Notes a drill. $1: the folder of the snapshots; $2: etcd's data; $3: whether the folder must be on a mount; $4: when the
# drill was, and of what; then, where that snapshot lies here, $5: its name; $6: what is known of it.
folder=$1
[ "$3" != yes ] || mounted "$folder" "$2" ||
    refuse "$folder is not mounted: it is on the file system of $mount, and [backup] says \`mount = true\`"
mkdir -p -- "$folder"
chmod 700 "$folder"

# line FILE TEXT
line() {
    leftover=$folder/.note-$(uname -n).quorate
    printf '%s\n' "$2" >"$leftover"
    mv -T -f -- "$leftover" "$1"
}

line "$folder/last-drill.json" "$4"
[ -z "${5-}" ] || [ ! -f "$folder/$5" ] || line "$folder/$5.json" "$6"
sync "$folder"

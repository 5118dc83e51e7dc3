# shellcheck shell=dash disable=SC2034,SC2154
# Notes a drill. $1: the folder of the snapshots; $2: when it was, and of what; then, where that snapshot lies here, $3: its
# name; $4: what is known of it.
folder=$1
mkdir -p -- "$folder"
chmod 700 "$folder"

# line FILE TEXT
line() {
    leftover=$folder/.note.quorate
    printf '%s\n' "$2" >"$leftover"
    mv -T -f -- "$leftover" "$1"
}

line "$folder/last-drill.json" "$2"
[ -z "${3-}" ] || [ ! -f "$folder/$3" ] || line "$folder/$3.json" "$4"
sync "$folder"

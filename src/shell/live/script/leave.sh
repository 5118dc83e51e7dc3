# shellcheck shell=dash disable=SC2034,SC2154
# What the scripts share that take a member off its host.

# set_aside DATA WORD: gives the data directory another name, DATA.WORD-TIME, which nothing has yet. One that cannot be renamed, as it is a
# disk of its own or a link to one, keeps its content in a folder of its own.
set_aside() {
    [ -d "$1" ] || return 0
    moved=
    for entry in "$1"/* "$1"/.[!.]* "$1"/..?*; do
        case ${entry##*/} in
        lost+found | .touch | removed-[0-9]* | moved-[0-9]* | before-force-[0-9]* | before-restore-[0-9]*) continue ;;
        esac
        [ -e "$entry" ] || [ -L "$entry" ] || continue
        stamp=${stamp:-$(date +%Y%m%d-%H%M%S)}
        if [ -z "$moved" ] && rename_aside "$1" "$1.$2-$stamp"; then
            return
        fi
        moved=$1/$2-$stamp
        [ -d "$moved" ] || mkdir -m 700 -- "$moved"
        mv -T -n -- "$entry" "$moved/${entry##*/}"
        [ ! -e "$entry" ] || refuse "$entry could not be moved into $moved"
    done
    [ -z "$moved" ] || sync "$moved" "$1"
}

rename_aside() {
    if [ -L "$1" ] || mountpoint -q -- "$1"; then
        return 1
    fi
    [ ! -e "$2" ] || refuse "$2 is there already"
    mv -T -- "$1" "$2"
    sync "${1%/*}/"
}

# shellcheck shell=dash disable=SC2086,SC2154
# What is free where something is written: of each folder, or of the nearest one above it that is there. `locations` has
# followed their links, and told the mounts. One program for all of them.
look_room() {
    IFS=$newline
    set -- $written
    IFS=" $tab$newline"
    folders=''
    for path in $q_written $elsewhere; do
        [ $# -gt 0 ] || break
        folder=$1
        shift
        while [ ! -d "$folder" ]; do
            case $folder in
            /*/*) folder=${folder%/*} ;;
            *) folder=/ ;;
            esac
        done
        echo "at=$path$tab$folder"
        case "$newline$folders$newline" in
        *"$newline$folder$newline"*) ;;
        *) folders=$folders${folders:+$newline}$folder ;;
        esac
    done
    IFS=$newline
    # Blocks: for everyone, all, not used; how large one is. Inodes: not used, all.
    stat -f -c "free=%n$tab%a %b %f %S %d %c" -- $folders
    IFS=" $tab$newline"
}

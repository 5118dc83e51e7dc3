# shellcheck shell=dash disable=SC2086,SC2154
# What is free where something is written: of each folder, or of the nearest one above it that is there. `locations` has
# followed their links, and told the mounts. One program for all of them.
look_room() {
    set -- $written
    folders=''
    for path in $q_written $elsewhere; do
        folder=$1
        shift
        while [ ! -d "$folder" ]; do
            folder=${folder%/*}
            folder=${folder:-/}
        done
        echo "at=$path$tab$folder"
        case " $folders " in
        *" $folder "*) ;;
        *) folders="$folders $folder" ;;
        esac
    done
    # Blocks: for everyone, all, not used; how large one is. Inodes: not used, all.
    stat -f -c "free=%n$tab%a %b %f %S %d %c" -- $folders
}

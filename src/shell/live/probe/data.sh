# shellcheck shell=dash disable=SC2034,SC2154
# What lies in the data directory.
look_data() {
    # A copy that was cut off is none: the data is where it was, until that is set aside.
    if { read -r from <"$q_data/$q_moved_from"; } 2>/dev/null && [ -d "$from/member" ]; then
        echo data=empty
        return
    fi
    if [ -d "$q_data/member" ]; then
        echo data=member
        return
    fi
    if [ -e "$q_data" ] && [ ! -d "$q_data" ]; then
        echo data=foreign
        return
    fi
    for entry in "$q_data"/* "$q_data"/.[!.]* "$q_data"/..?*; do
        case ${entry##*/} in
        # What mkfs leaves on a disk of its own, and what etcd leaves when it is killed while it tries the folder.
        lost+found | .touch | quorate-restored) continue ;;
        # Where the data of a removed member, or the copy of a survivor's, is kept on such a disk.
        removed-[0-9]* | moved-[0-9]* | before-force-[0-9]* | before-restore-[0-9]*) continue ;;
        # What one that was killed has left of its work; the next one clears it away.
        .restore-data.quorate | .before-force.quorate | .member.quorate | .trial.quorate) continue ;;
        "$q_moved_from") continue ;;
        esac
        if [ -e "$entry" ] || [ -L "$entry" ]; then
            echo data=foreign
            return
        fi
    done
    echo data=empty
}

# shellcheck shell=dash disable=SC2034,SC2154
# What lies in the data directory. etcd goes by the .wal files alone: without one it begins an empty log.
look_data() {
    # The new-data marker goes when the first log is written, so it is looked for first: one that is gone has had a log.
    measure
    # A copy that was cut off is none: the data is where it was, until that is set aside.
    if { read -r from <"$q_data/$q_moved_from"; } 2>/dev/null && [ -d "$from/member" ]; then
        echo data=empty
        return
    fi
    if is_out_of_sight "$q_data"; then
        echo data=not-mounted
        return
    fi
    for path in "$q_data" "$q_data/member" "$q_data/member/wal"; do
        if [ -L "$path" ] && [ ! -e "$path" ]; then
            echo data=dead-link
            return
        fi
    done
    tell_by_log && return
    # One that runs has no log here because it has not begun one yet, or because that was taken from under it, which then
    # it has open still. Whoever has begun one since the last look has it in its place now.
    held=none
    [ -z "$pid" ] || held=$(held_log "$pid")
    if [ "$held" = deleted ]; then
        echo data=no-log
        return
    fi
    if [ ! -d "$q_data/member" ]; then
        tell_without_member
    elif [ -n "$pid" ] && [ "$held" = none ]; then
        echo data=empty
    else
        tell_by_log || echo data=no-log
    fi
}

tell_by_log() {
    for path in "$q_data"/member/wal/*.wal; do
        if [ -s "$path" ]; then
            if [ -s "$q_data/member/snap/db" ]; then
                echo data=member
            else
                echo data=no-database
            fi
            return
        fi
    done
    return 1
}

tell_without_member() {
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

# held_log PID: none, open or deleted. One that is being made is in a folder of its own until it is whole.
held_log() {
    opened=$(ls -l "/proc/$1/fd" 2>/dev/null)
    case $opened in
    *'.wal (deleted)'*) echo deleted && return ;;
    esac
    for word in $opened; do
        case $word in
        */wal.tmp/*) ;;
        *.wal) echo open && return ;;
        esac
    done
    echo none
}

# Whether a disk is to be mounted at this folder, or above it, and is not. What is not mounted at boot is nobody's fault.
is_out_of_sight() {
    folder=$1
    if [ -L "$folder" ]; then
        folder=$(readlink -m "$folder") || return 1
    fi
    while read -r device where kind options _; do
        is_above "$where" "$folder" || continue
        case $device,$options, in
        '#'* | *,noauto,*) continue ;;
        esac
        [ "$kind" = swap ] || is_mounted "$where" || return 0
    done 2>/dev/null </etc/fstab
    for unit_file in /etc/systemd/system/*.wants/*.mount /etc/systemd/system/*.requires/*.mount; do
        [ -f "$unit_file" ] || continue
        while read -r line; do
            case $line in
            Where=*) is_above "${line#Where=}" "$folder" || continue ;;
            *) continue ;;
            esac
            is_mounted "${line#Where=}" || return 0
        done <"$unit_file"
    done
    return 1
}

is_above() {
    above=${1%/}
    [ -n "$above" ] || return 1
    case $2/ in
    "$above"/*) return 0 ;;
    esac
    return 1
}

is_mounted() {
    while read -r _ mounted _; do
        [ "$mounted" != "${1%/}" ] || return 0
    done <<EOF
$(cat /proc/self/mounts)
EOF
    return 1
}

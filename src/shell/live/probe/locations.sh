# shellcheck shell=dash disable=SC2016,SC2034,SC2086,SC2154
# What the places are like that etcd needs at its next start: whether its account gets there, and what is mounted there.
# Where else something is written is followed here as well, for `room`.
look_locations() {
    # Links followed, whether or not the end is there yet: a line each, in the same order.
    reals=$(readlink -m -- $q_locations $q_written $elsewhere)
    IFS=$newline
    set -- $reals
    IFS=" $tab$newline"
    needed=''
    for path in $q_locations; do
        needed="$needed $1"
        echo "real=$path$tab$1"
        [ ! -L "$path" ] || echo "link=$path"
        shift
    done
    # The others are for the mounts and for `room` alone. What is mounted above a folder is above all that is in it.
    IFS=$newline
    written=$*
    IFS=" $tab$newline"
    followed=$needed
    for real; do
        case "$followed " in
        *" $real "* | *" ${real%/}/"*) ;;
        *) followed="$followed $real" ;;
        esac
    done
    # One line of the kernel's table for everything that is mounted above one of them.
    mounts=$(cat /proc/self/mountinfo)
    IFS=$newline
    for line in $mounts; do
        IFS=" $tab$newline"
        set -- $line
        for real in $followed; do
            case $real/ in
            "${5%/}/"*)
                type=${line#* - }
                echo "mount=$5$tab${type%% *}$tab$6,${line##* }$tab$3"
                break
                ;;
            esac
        done
    done
    IFS=" $tab$newline"
    # Only the kernel knows all that may keep an account out. Whose the data is matters to all but root.
    owned=$q_data
    [ "$q_account" != root ] || owned=''
    if ! closed=$(setpriv "--reuid=$q_account" "--regid=$q_account" --init-groups \
        sh -c "$q_walk" sh "$owned" $q_locations $needed 2>/dev/null); then
        # Before there is one, somebody who owns nothing is asked.
        set -- --reuid=65534 --regid=65534 --clear-groups
        data=''
        # Its group may have another name.
        if entry=$(getent passwd "$q_account"); then
            IFS=:
            set -- $entry
            IFS=" $tab$newline"
            set -- "--reuid=$3" "--regid=$4" --init-groups
            data=$owned
        fi
        closed=$(setpriv "$@" sh -c "$q_walk" sh "$data" $q_locations $needed) || echo unasked=yes
    fi
    IFS=$newline
    for line in $closed; do
        echo "closed=$line$tab$(stat -L -c '%a %U %G' -- "${line##*"$tab"}")"
    done
    IFS=" $tab$newline"
}

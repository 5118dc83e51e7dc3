# shellcheck shell=dash disable=SC2016,SC2034,SC2086,SC2154
# What the places are like that etcd needs at its next start: whether its account gets there, and what is mounted there.
look_locations() {
    # Links followed, whether or not the end is there yet: a line each, in the same order.
    reals=$(readlink -m -- $q_locations)
    IFS=$newline
    set -- $reals
    IFS=" $tab$newline"
    for path in $q_locations; do
        echo "real=$path$tab$1"
        shift
    done
    # One line of the kernel's table for everything that is mounted above one of them.
    mounts=$(cat /proc/self/mountinfo)
    IFS=$newline
    for line in $mounts; do
        IFS=" $tab$newline"
        set -- $line
        for real in $reals; do
            case $real/ in
            "${5%/}"/*)
                type=${line#* - }
                echo "mount=$5$tab${type%% *}$tab$6,${line##* }"
                break
                ;;
            esac
        done
    done
    IFS=" $tab$newline"
    # Only the kernel knows all that may keep an account out. Before there is one, somebody who owns nothing is asked.
    entry=$(getent passwd "$q_account")
    IFS=:
    set -- $entry
    IFS=" $tab$newline"
    if [ -n "$entry" ]; then
        set -- "--reuid=$3" "--regid=$4" --init-groups
    else
        set -- --reuid=65534 --regid=65534 --clear-groups
    fi
    closed=$(setpriv "$@" sh -c "$q_walk" sh $q_locations $reals) || echo unasked=yes
    # What another account has written in the data: a member that root has run, say.
    other=$(find "$q_data/member" ! -user "$q_account" \( -type d -o -name db -o -name '*.wal' -o -name '*.snap' \) \
        -print -quit 2>/dev/null)
    [ -z "$other" ] || closed="$closed$newline$q_data$tab$other"
    IFS=$newline
    for line in $closed; do
        echo "closed=$line$tab$(stat -L -c '%a %U %G' -- "${line##*"$tab"}")"
    done
    IFS=" $tab$newline"
    # It listens there and nowhere else.
    if [ -n "$q_address" ] && [ "$(cat /proc/sys/net/ipv4/ip_nonlocal_bind)" != 1 ]; then
        if has=$(ip -o addr show to "$q_address" 2>/dev/null) && [ -z "$has" ]; then
            echo address=absent
        fi
    fi
}

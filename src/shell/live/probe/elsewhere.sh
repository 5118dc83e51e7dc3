# shellcheck shell=dash disable=SC2034,SC2154
# Where the member's data is, if that is not the declared directory. A running etcd holds its database open, whoever has
# started it and however it was told where; of a stopped one, what it was told is read, as far as that can be known.
look_elsewhere() {
    if [ -n "$pid" ]; then
        # It opens its database before it has many connections. To compare needs no program.
        for path in "/proc/$pid/fd/"? "/proc/$pid/fd/"??; do
            if [ "$path" -ef "$q_data/member/snap/db" ]; then
                return
            fi
        done
        for path in $(readlink "/proc/$pid/fd/"? "/proc/$pid/fd/"?? 2>/dev/null); do
            case $path in
            */member/snap/db)
                tell_elsewhere running "${path%/member/snap/db}"
                return
                ;;
            esac
        done
    fi
    fragment="$newline$unit"
    fragment=${fragment##*"$newline"FragmentPath=}
    fragment=${fragment%%"$newline"*}
    told=$(grep -hosE -e '^data-dir:.*' -e '^ConditionPathExists=.*/member$' \
        -e '^RequiresMountsFor=.*' -e '-data-dir[= ][^ ]+' \
        -e 'ETCD_DATA_DIR=[^ ]+' -- "$q_config" "$fragment" /etc/default/etcd)
    for path in $told; do
        path=${path#*=}
        path=${path#|}
        path=${path#[\"\']}
        path=${path%[\"\']}
        path=${path%/member}
        case $path in
        /*) tell_elsewhere stopped "${path%/}" ;;
        esac
    done
}

tell_elsewhere() {
    if [ -d "$2/member" ] && [ ! "$2" -ef "$q_data" ]; then
        echo "$1=$2"
        case $2 in
        *[!A-Za-z0-9/._+@-]*) ;;
        *) elsewhere=${elsewhere:-$2} ;;
        esac
    fi
}

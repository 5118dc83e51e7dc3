# shellcheck shell=dash disable=SC2034,SC2154
# Which etcd the main process of the unit is.
look_process() {
    [ -n "$pid" ] && [ -d "/proc/$pid" ] || return
    for folder in $folders; do
        if [ "/proc/$pid/exe" -ef "$folder/etcd" ]; then
            executable=$folder/etcd
            break
        fi
    done
    if [ -z "$executable" ]; then
        executable=$(readlink "/proc/$pid/exe") || return
        # In a container it has files of its own.
        [ "/proc/$pid/root$executable" -ef "/proc/$pid/exe" ] || echo replaced=yes
    fi
    echo "executable=$executable"
    grep -qzxF -e "--config-file=$q_config" "/proc/$pid/cmdline" || echo foreign-config=yes
    # As whom it runs, and what it has read so far: whether a start goes on is told by that. Each file is read at once: a shell
    # that reads line by line goes back in it, and the kernel has written it anew by then, shorter by a letter perhaps.
    bytes=''
    # shellcheck disable=SC2046 # words without blanks
    set -- $(grep -hsE '^(Uid|rchar|read_bytes):' "/proc/$pid/status" "/proc/$pid/io")
    while [ $# -ge 2 ]; do
        case $1 in
        Uid:) uid=$2 ;;
        rchar:) bytes=$2 ;;
        read_bytes:) bytes=$((bytes + $2)) && echo "disk=$2" ;;
        esac
        shift
    done
    echo "uid=$uid"
    [ -z "$bytes" ] || echo "read=$bytes"
    case $unit in
    *ActiveState=activating*) [ ! -f "$q_data/member/snap/db" ] || stat -L -c 'database=%s' "$q_data/member/snap/db" ;;
    esac
    # 4242 (etcd) S …: after the name, the time for itself is the twelfth word, and the kernel's the next.
    read -r stat_line <"/proc/$pid/stat" || return
    # shellcheck disable=SC2086
    set -- ${stat_line##*) }
    echo "cpu=$((${12} + ${13}))"
}

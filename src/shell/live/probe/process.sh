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
    while read -r name value _; do
        if [ "$name" = Uid: ]; then
            uid=$value
            break
        fi
    done <"/proc/$pid/status"
    echo "uid=$uid"
    # What it has done so far: whether a start goes on is told by that.
    bytes=0
    while read -r name value; do
        case $name in
        rchar:) bytes=$((bytes + value)) ;;
        read_bytes:) bytes=$((bytes + value)) && echo "disk=$value" ;;
        esac
    done <"/proc/$pid/io" && echo "read=$bytes"
    case $unit in
    *ActiveState=activating*) [ ! -f "$q_data/member/snap/db" ] || stat -L -c 'database=%s' "$q_data/member/snap/db" ;;
    esac
    # 4242 (etcd) S …: after the name, the time for itself is the twelfth word, and the kernel's the next.
    read -r stat_line <"/proc/$pid/stat" || return
    # shellcheck disable=SC2086
    set -- ${stat_line##*) }
    echo "cpu=$((${12} + ${13}))"
}

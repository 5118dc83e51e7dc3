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
        [ "$executable" -ef "/proc/$pid/exe" ] || echo replaced=yes
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
}

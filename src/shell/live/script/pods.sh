# shellcheck shell=dash
# pod_etcd DATA: the ids of every etcd in a pod of the kubelet that has this data directory, one a line. processes.sh goes before.
pod_etcd() {
    for one in $(etcd_processes); do
        grep -q -s kubepods "/proc/$one/cgroup" || continue
        words=$({ tr '\0' ' ' <"/proc/$one/cmdline"; } 2>/dev/null)
        case " $words" in
        *" -data-dir=$1 "* | *" --data-dir=$1 "* | *" -data-dir $1 "* | *" --data-dir $1 "*) echo "$one" ;;
        esac
    done
}

# The only etcd in a pod, if there is just one.
only_pod_etcd() {
    found=''
    for one in $(etcd_processes); do
        grep -q -s kubepods "/proc/$one/cgroup" || continue
        [ -z "$found" ] || return 0
        found=$one
    done
    echo "$found"
}

# When a process was started, in seconds since 1970.
started_at() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return
    # 4242 (etcd) S 4200 …: behind the name, the twentieth word, in ticks since the host was started.
    # shellcheck disable=SC2086
    set -- ${stat_line##*) }
    while read -r key value _; do
        if [ "$key" = btime ]; then
            echo "$((value + ${20} / $(getconf CLK_TCK 2>/dev/null || echo 100)))"
        fi
    done </proc/stat
}

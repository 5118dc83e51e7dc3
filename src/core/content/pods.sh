# shellcheck shell=dash
# etcd_in_pods: the ids of every etcd that a kubelet runs, one a line. processes.sh goes before.
etcd_in_pods() {
    for one in $(etcd_processes); do
        if grep -q -s kubepods "/proc/$one/cgroup"; then
            echo "$one"
        fi
    done
}

# pod_etcd DATA: of these, those with this data directory.
pod_etcd() {
    for one in $(etcd_in_pods); do
        words=$({ tr '\0' ' ' <"/proc/$one/cmdline"; } 2>/dev/null)
        case " $words" in
        *" -data-dir=$1 "* | *" --data-dir=$1 "* | *" -data-dir $1 "* | *" --data-dir $1 "*) echo "$one" ;;
        esac
    done
}

# The only one, if there is just one.
only_pod_etcd() {
    # shellcheck disable=SC2046 # one word an id
    set -- $(etcd_in_pods)
    [ $# != 1 ] || echo "$1"
}

# When a process was started, in seconds since 1970.
started_at() {
    { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null || return
    # 4242 (etcd) S 4200 …: behind the name, the twentieth word, in ticks since the host was started.
    # shellcheck disable=SC2086
    set -- ${stat_line##*) }
    booted=$(sed -n 's/^btime //p' /proc/stat)
    echo "$((booted + ${20} / $(getconf CLK_TCK 2>/dev/null || echo 100)))"
}

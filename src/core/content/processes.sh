# shellcheck shell=dash
# etcd_processes: the ids of all that are an etcd by the name of their program, one a line. k3s has its etcd in itself.
etcd_processes() {
    named=$(grep -l -s -E '^(etcd|k3s-server)' /proc/[0-9]*/comm)
    for name in $named; do
        { read -r called <"$name"; } 2>/dev/null || continue
        case $called in
        # Whatever else begins with its name is a tool of somebody's.
        etcd | etcd[0-9]* | etcd[-.][0-9]* | etcd[-.]v[0-9]*) ;;
        k3s-server) [ -d /var/lib/rancher/k3s/server/db/etcd ] || continue ;;
        *) continue ;;
        esac
        # Somebody asks a program for its version.
        ! grep -qzxE -e '--?version' "${name%comm}cmdline" 2>/dev/null || continue
        name=${name#/proc/}
        echo "${name%/comm}"
    done
}

# is_k3s PID
is_k3s() {
    { read -r called <"/proc/$1/comm"; } 2>/dev/null && [ "$called" = k3s-server ]
}

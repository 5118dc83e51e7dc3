# shellcheck shell=dash
# Every etcd on this host, whoever started it, and what it was started with. It only reads. $@: paths that tell who
# manages one. A record begins with pid=; arguments and variables are one a line, so a newline in one becomes a space.
#
#     host=etcd-1
#     pid=812
#     argument=--name
#     …
#     quorate-end
set -u
[ -O /proc/1 ] || {
    echo not-root
    echo quorate-end
    exit 0
}
echo "host=$(uname -n)"
echo "now=$(date +%s)"
sed -n 's/^btime /boot=/p' /proc/stat
echo "ticks=$(getconf CLK_TCK 2>/dev/null || echo 100)"
for mark in "$@"; do
    [ ! -e "$mark" ] || printf 'mark=%s\n' "$mark"
done

# A name may hold anything.
one_line() {
    printf '%s' "$1" | tr '\n' ' '
}

# tell FILE KEY: the words of a file of /proc, which end in NUL.
tell() {
    { tr '\n\0' ' \n' <"$1"; } 2>/dev/null | head -c 65536 | sed "s/^/$2=/"
}

# The file that one of the lines on stdin names: --config-file=X, or X on the line behind it, or the variable. The last counts.
config_file() {
    sed -n -e 's/^variable=ETCD_CONFIG_FILE=//p' -e 's/^argument=--\{0,1\}config-file=//p' \
        -e '/^argument=--\{0,1\}config-file$/{n;s/^argument=//p;}' | tail -n 1
}

for pid in $(etcd_processes); do
    folder=/proc/$pid
    program=$(readlink "$folder/exe") || continue
    # As it was called, where that is a link on this host: what it leads to changes with the next version.
    called=$(tr '\n\0' ' \n' <"$folder/cmdline" 2>/dev/null | head -n 1)
    case $called in
    /*) [ ! "$called" -ef "$folder/exe" ] || program=$called ;;
    esac
    echo "pid=$pid"
    printf 'executable=%s\n' "$(one_line "$program")"
    echo "account=$(stat -c %U "$folder" 2>/dev/null)"
    echo "account-id=$(stat -c %u "$folder" 2>/dev/null)"
    groups=$(cat "$folder/cgroup" 2>/dev/null)
    printf '%s\n' "$groups" | sed 's/^/cgroup=/'
    unit=$(printf '%s\n' "$groups" | sed -n 's|^.*/\([^/]*\.service\)$|\1|p' | tail -n 1)
    if [ -n "$unit" ]; then
        # EnvironmentFiles=/etc/default/etcd (ignore_errors=yes), one a line.
        systemctl show -p EnvironmentFiles -- "$unit" 2>/dev/null |
            sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=.*)$/unit-variables=\1/p'
    fi
    if { read -r stat_line <"$folder/stat"; } 2>/dev/null; then
        # 4242 (etcd) S 4200 …: behind the name, the second word is the parent, the twentieth the start.
        rest=${stat_line##*) }
        # shellcheck disable=SC2086
        set -- $rest
        { read -r parent <"/proc/$2/comm"; } 2>/dev/null && printf 'parent=%s\n' "$parent"
        echo "start=${20}"
    fi
    if command -v dpkg-query >/dev/null; then
        echo "package=$(dpkg-query -S "${program% (deleted)}" 2>/dev/null | head -n 1 | cut -d : -f 1)"
    elif command -v rpm >/dev/null; then
        # It tells on stdout that nobody owns a file.
        owner=$(rpm -qf --qf '%{NAME}' "${program% (deleted)}" 2>/dev/null) || owner=''
        printf 'package=%s\n' "$owner"
    fi
    if is_k3s "$pid"; then
        config=/var/lib/rancher/k3s/server/db/etcd/config
    else
        arguments=$(tell "$folder/cmdline" argument | sed 1d)
        variables=$(tell "$folder/environ" variable | grep -E '^variable=(ETCD_[A-Z0-9_]+|QUORATE_LOADED)=')
        [ -z "$arguments" ] || printf '%s\n' "$arguments"
        [ -z "$variables" ] || printf '%s\n' "$variables"
        config=$(printf '%s\n%s\n' "$variables" "$arguments" | config_file)
    fi
    [ -n "$config" ] || continue
    printf 'config=%s\n' "$config"
    case $config in
    /*) at=$folder/root$config ;;
    *) at=$folder/cwd/$config ;;
    esac
    if [ -f "$at" ] && [ -r "$at" ]; then
        echo "config-written=$(stat -L -c %Y "$at")"
        # A line without its end is one.
        head -c 262144 "$at" | { cat && echo; } | sed 's/^/config-line=/'
    fi
done
# Static pods, and which one each process belongs to is not told: the folder has one etcd.
for manifest in /etc/kubernetes/manifests/* /var/lib/rancher/rke2/agent/pod-manifests/*; do
    [ -f "$manifest" ] || continue
    ! grep -q -s -E '^ *- ([^ ]*/)?etcd$' "$manifest" || printf 'manifest=%s\n' "$(one_line "$manifest")"
done
echo quorate-end

# shellcheck shell=dash disable=SC2034,SC2154
# Every etcd on this host that our unit does not run, whoever started it, and what would start one. A record begins with
# pid=, manifest= or unit=; what it was told comes from its command line, its environment or its file, whichever it reads.
#
#     pid=812
#     cgroup=0::/system.slice/etcd-events.service
#     executable=/usr/bin/etcd
#     net=host
#     data=/var/lib/etcd-events
#     urls=https://10.0.0.11:3379
#     …
look_others() {
    found=''
    if [ -n "$pid" ] && [ -z "$recorded" ]; then
        # The main process of a unit of that name, which did not note what it loads as ours does.
        tell_process "$pid" && echo main=yes
    fi
    for other in $(etcd_processes); do
        [ "$other" != "$pid" ] || continue
        tell_process "$other" || continue
        if is_k3s "$other"; then
            echo data=/var/lib/rancher/k3s/server/db/etcd
        fi
    done
    if [ -n "$found" ]; then
        ss -ltnpH 2>/dev/null | grep -F 'pid=' | head -c 32768 | sed 's/^/listens=/'
    fi
    # Static pods of a kubelet.
    set -- /etc/kubernetes/manifests/* /var/lib/rancher/rke2/agent/pod-manifests/*
    manifests=''
    # A pattern that nothing matches stands for itself.
    if [ -e "$1" ] || [ -e "$2" ] || [ $# -gt 2 ]; then
        manifests=$(grep -l -s -E '^ *- ([^ ]*/)?etcd$' "$@")
    fi
    for manifest in $manifests; do
        [ "$manifest" != "$q_config" ] || continue
        echo "manifest=$manifest"
        begin_record
        take_words "$(sed -n 's/^ *- \(--[a-z-]*=[^ ]*\)$/\1/p' "$manifest")"
        tell_record ''
    done
    # Most hosts have /lib as a link to /usr/lib, and what lies there is read once.
    set -- /usr/lib/systemd/system/*.service
    [ /lib/systemd/system -ef /usr/lib/systemd/system ] || set -- /lib/systemd/system/*.service "$@"
    # The same unit may lie in two folders.
    units=''
    files=$(grep -l -s -E '^ExecStart=.*[/ .]etcd([ :]|$)' /etc/systemd/system/*.service "$@")
    for file in $files; do
        name=${file##*/}
        case " $units $q_service quorate-backup.service " in
        *" $name "*) continue ;;
        esac
        # Another name of ours: Debian's etcd2.service.
        if [ -L "$file" ]; then
            real=$(readlink -f -- "$file")
            [ "${real##*/}" != "$q_service" ] || continue
        fi
        units="$units $name"
        echo "unit=$name"
        systemctl show -p ActiveState,UnitFileState -- "$name"
        begin_record
        take_words "$(grep '^ExecStart=' "$file" | tr ' ' '\n')"
        if grep -q '^# Kept by quorate ' "$file"; then
            # Of a cluster of quorate's, under another name than the declared one.
            echo kept=yes
            config=${config%\'}
            take_config ''
        fi
        tell_record ''
    done
}

tell_process() {
    # It may have ended since.
    program=$(readlink "/proc/$1/exe") || return
    found=yes
    echo "pid=$1"
    sed 's/^/cgroup=/' "/proc/$1/cgroup" 2>/dev/null
    echo "executable=$program"
    # What an engine has started is a child of its keeper, whatever control group it has put it in.
    if { read -r stat_line <"/proc/$1/stat"; } 2>/dev/null; then
        # 4242 (etcd) S 4200 …
        stat_line=${stat_line##*) ? }
        { read -r parent <"/proc/${stat_line%% *}/comm"; } 2>/dev/null && echo "parent=$parent"
    fi
    if [ "/proc/$1/ns/net" -ef /proc/self/ns/net ]; then
        echo net=host
    fi
    begin_record
    take_words "$({ tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null |
        grep -E '^ETCD_(CONFIG_FILE|DATA_DIR|NAME|LISTEN_(CLIENT|PEER)_URLS)=')"
    take_words "$({ tr '\0' '\n' <"/proc/$1/cmdline"; } 2>/dev/null | head -c 32768)"
    take_config "/proc/$1/root"
    tell_record "$1"
}

# take_config ROOT: with a file etcd reads neither words nor variables.
take_config() {
    [ -n "$config" ] || return
    from=$1$config
    begin_record
    take_words "$(sed -n "s/^\(data-dir\|name\|listen-client-urls\|listen-peer-urls\): *[\"']\{0,1\}\([^\"']*\).*/--\1=\2/p" "$from" 2>/dev/null)"
}

begin_record() {
    config='' data='' member='' urls=''
}

# take_words LINES: one word a line, each --key=value, or a key and its value, or KEY=value of the environment.
take_words() {
    key=''
    IFS=$newline
    set -f
    for word in $1; do
        case $word in
        ETCD_CONFIG_FILE=*) take config-file "${word#*=}" ;;
        ETCD_DATA_DIR=*) take data-dir "${word#*=}" ;;
        ETCD_NAME=*) take name "${word#*=}" ;;
        ETCD_LISTEN_CLIENT_URLS=* | ETCD_LISTEN_PEER_URLS=*) take listen-urls "${word#*=}" ;;
        -*=*)
            key=${word%%=*}
            take "${key##*--}" "${word#*=}"
            key=''
            ;;
        -*) key=${word##*--} ;;
        *)
            [ -z "$key" ] || take "$key" "$word"
            key=''
            ;;
        esac
    done
    set +f
    IFS=" $tab$newline"
}

take() {
    case ${1#-} in
    config-file) config=$2 ;;
    data-dir) data=$2 ;;
    name) member=$2 ;;
    listen-urls | listen-client-urls | listen-peer-urls) urls="$urls$2," ;;
    esac
}

# tell_record PID: of a process, paths are those that it sees.
tell_record() {
    if [ -z "$data" ] && [ -n "$1" ]; then
        data=${member:-default}.etcd
    fi
    case $data in
    /*) place=${1:+/proc/$1/root}$data ;;
    *) place=${1:+/proc/$1/cwd/}$data ;;
    esac
    if [ -n "$data" ]; then
        echo "data=$data"
        if [ "$place" -ef "$q_data" ]; then
            echo same-data=yes
        fi
    fi
    echo "urls=$urls"
}

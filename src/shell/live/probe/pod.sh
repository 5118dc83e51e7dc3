# shellcheck shell=dash disable=SC2034,SC2154
# Whether the kubelet, whose unit the declared one is, runs; and the etcd in a pod of it.
look_pod() {
    kubelet=$pid pid=''
    # One that somebody has stopped by a signal (T) does nothing.
    if [ -n "$kubelet" ] && ! grep -q '^State:[[:space:]]*T' "/proc/$kubelet/status"; then
        echo runs=yes
        words=$({ tr '\0' '\n' <"/proc/$kubelet/cmdline"; } 2>/dev/null)
        config=$(printf '%s\n' "$words" | sed -n -e 's/^--config=//p' -e '/^--config$/{n;p;}')
        # A flag goes before the file.
        [ ! -f "$config" ] || sed -n "s/^staticPodPath: *[\"']\{0,1\}\([^\"'# ]*\).*/manifests=\1/p" "$config"
        if [ -f "$config" ] && [ "$(stat -L -c %Y "$config")" -gt "$(started_at "$kubelet")" ]; then
            echo written-since=yes
        fi
        printf '%s\n' "$words" |
            sed -n -e 's/^--pod-manifest-path=/manifests=/p' -e '/^--pod-manifest-path$/{n;s/^/manifests=/p;}'
        # What it has its containers run by.
        socket=$(sed -n "s|^containerRuntimeEndpoint: *[\"']\{0,1\}unix://\([^\"'# ]*\).*|\1|p" "$config" 2>/dev/null)
        flag=$(printf '%s\n' "$words" | sed -n -e 's|^--container-runtime-endpoint=unix://||p')
        socket=${flag:-$socket}
        # /var/run is a link to /run.
        listening=$(ss -xlH 2>/dev/null | grep -F -e " $socket " -e " ${socket#/var} ")
        [ -z "$socket" ] || [ -n "$listening" ] || echo "deaf-runtime=$socket"
    fi
    tell_fixed
    # What is to be set up or upgraded needs another image.
    grep -q -s "^[ -]*image:.*:v\{0,1\}$q_version\([^0-9.]\|\$\)" "$q_config" "$q_aside" ||
        list_images | sed 's/^/image=/'
    [ ! -e "${q_config%/*}/kube-apiserver.yaml" ] || echo api-server=yes
    if [ ! -e "$q_config" ] && [ -e "$q_aside" ]; then
        echo aside=yes
    fi
    for one in $(pod_etcd "$q_data"); do
        pid=$one
    done
    # The only one is the one that is meant, wherever its data is: that is told of it then.
    [ -n "$pid" ] || pid=$(only_pod_etcd)
    if [ -z "$pid" ] && [ -e "$q_config" ]; then
        find_exit
    fi
    [ -n "$pid" ] || return
    echo "pid=$pid"
    echo "started=$(started_at "$pid")"
    account=$(stat -c %U "/proc/$pid")
    case $account in
    '' | UNKNOWN) ;;
    *) q_account=$account ;;
    esac
}

# What keeps a rename from replacing the manifest. Root may write everywhere but where a mount or an attribute forbids it.
tell_fixed() {
    aside=${q_aside%/*}
    folder=${q_config%/*}
    [ -e "$aside" ] || aside=${aside%/*}
    if [ -L "$q_config" ]; then
        echo 'fixed=it is a link'
    elif [ ! -e "$q_config" ]; then
        return
    elif grep -q -F " $q_config " /proc/self/mounts; then
        echo 'fixed=it is a mount of its own'
    elif [ ! -w "$folder" ]; then
        echo "fixed=$folder cannot be written to: it is mounted read-only, or immutable (lsattr)"
    elif [ ! -w "$q_config" ]; then
        echo 'fixed=it is immutable (lsattr)'
    elif [ "$aside" -ef "$folder" ]; then
        echo "fixed=${q_aside%/*} leads to the same folder"
    elif [ "$(stat -L -c %d "$aside")" != "$(stat -L -c %d "$folder")" ] || grep -q -F " $folder " /proc/self/mounts; then
        echo "fixed=$folder is another mount than $aside"
    fi
}

# The log of a start that has failed: it began after the manifest was put there, so it is of no earlier pod.
find_exit() {
    # Times in it are of the host's zone. Names are made of letters, digits and - _ . / only.
    since=$(unset TZ && date -d "@$(stat -c %Z "$q_config")" +%Y-%m-%dT%H:%M:%S)
    # shellcheck disable=SC2012
    newest=$(ls -t /var/log/pods/*_etcd-*/etcd/*.log 2>/dev/null | head -n 1)
    [ -n "$newest" ] || return
    # shellcheck disable=SC3012 # every sh of Debian, Red Hat and busybox has it
    if [ "$(head -c 19 "$newest")" \> "$since" ]; then
        exited=$newest
        echo "exit=$(stat -c %i "$newest")"
    fi
}

# shellcheck shell=dash disable=SC2034,SC2154
# Whether the kubelet, whose unit the declared one is, runs; and the etcd in a pod of it.
look_pod() {
    kubelet=$pid pid=''
    if [ -n "$kubelet" ]; then
        echo runs=yes
        words=$({ tr '\0' '\n' <"/proc/$kubelet/cmdline"; } 2>/dev/null)
        config=$(printf '%s\n' "$words" | sed -n -e 's/^--config=//p' -e '/^--config$/{n;p;}')
        # A flag goes before the file.
        [ ! -f "$config" ] || sed -n "s/^staticPodPath: *[\"']\{0,1\}\([^\"'# ]*\).*/manifests=\1/p" "$config"
        printf '%s\n' "$words" |
            sed -n -e 's/^--pod-manifest-path=/manifests=/p' -e '/^--pod-manifest-path$/{n;s/^/manifests=/p;}'
    fi
    if [ ! -e "$q_config" ] && [ -e "$q_aside" ]; then
        echo aside=yes
    fi
    for one in $(pod_etcd "$q_data"); do
        pid=$one
    done
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

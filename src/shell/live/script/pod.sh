# shellcheck shell=dash disable=SC2034,SC2154
# One verb for the static pod of etcd; static-pod.sh goes before. Whether it serves is not waited for here.
verb=$1

# put MANIFEST BYTES: in the place of one that is there, which is kept, with its mode and owner. By one rename, from where the
# kubelet does not look.
put() {
    leftover=$aside.new
    if [ -e "$1" ]; then
        stage "$leftover" "$2" "$(stat -c %a "$1")" "$(stat -c %u "$1")" "$(stat -c %g "$1")"
        ln -f -- "$1" "$aside.previous"
    else
        stage "$leftover" "$2" 600 0 0
    fi
    mv -T -f -- "$leftover" "$1"
    leftover=
    sync "${1%/*}"
}

# swap MANIFEST BYTES: the same in the place of the one that the kubelet runs. Where it has no API server to ask, the old pod is
# ended first: by itself the kubelet would take a quarter of a minute to start another one in its place.
swap() {
    was=$(pod_etcd "$data")
    if [ -e "${1%/*}/kube-apiserver.yaml" ] || [ -z "$was" ]; then
        put "$1" "$2"
        return
    fi
    # 12:pids:/kubepods/burstable/podUID/…, or …-podUID.slice/…
    old=$(sed -n 's/.*[/-]pod\([0-9a-f]*\).*/\1/p' "/proc/$was/cgroup" 2>/dev/null | head -n 1)
    leftover=$aside.new
    stage "$leftover" "$2" "$(stat -c %a "$1")" "$(stat -c %u "$1")" "$(stat -c %g "$1")"
    ln -f -- "$1" "$aside.previous"
    trap 'ended; put_back' EXIT
    mv -T -f -- "$leftover" "$aside"
    leftover=
    rm -- "$1"
    sync "${1%/*}" "${aside%/*}"
    until_ended || refuse "etcd does not end: \`journalctl -u $kubelet\` says what the kubelet does"
    looks=0
    while [ -n "$old" ] && [ -d "/var/lib/kubelet/pods/$old" ] && [ "$looks" -lt 50 ]; do
        looks=$((looks + 1))
        sleep 0.1
    done
    put_back
}

case $verb in
reload) ;;
enable) put_back ;;
start)
    kubelet_runs
    # Where it is there already, the kubelet starts it at its own pace.
    [ -e "$definition" ] || [ -e "$aside" ] || refuse "there is no $definition"
    put_back
    ;;
restart)
    kubelet_runs
    until_noticed
    start_anew
    ;;
replace)
    kubelet_runs
    fit_to_move
    swap "$definition" "$2"
    ;;
write)
    # Of a pod that is not to run yet.
    [ ! -e "$definition" ] || refuse "$definition is there already"
    fit_to_move
    put "$aside" "$2"
    ;;
esac

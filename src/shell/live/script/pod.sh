# shellcheck shell=dash disable=SC2034,SC2154
# One verb for the static pod of etcd; static-pod.sh goes before. Whether it serves is not waited for here.
verb=$1 marker=$2

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

# The directory that a manifest of ours wants to be there, as etcd's data is gone where it is not.
make_member() {
    [ -d "$data" ] || (umask 077 && mkdir -p -- "$data")
    [ -d "$data/member" ] ||
        install -d -m 700 -o "$(stat -c %u "$data")" -g "$(stat -c %g "$data")" -- "$data/member"
}

# The permission to begin is used up when etcd has a log. Nothing else waits for that, and where it takes longer, the next run takes
# it back.
use_up() {
    exec 8>&-
    looks=0
    while [ -e "$marker" ] && [ "$looks" -lt 600 ]; do
        for log in "$data"/member/wal/*.wal; do
            [ ! -e "$log" ] || rm -f -- "$marker"
        done
        looks=$((looks + 1))
        [ ! -e "$marker" ] || sleep 0.2
    done
}

case $verb in
reload) ;;
enable) put_back ;;
start)
    kubelet_runs
    # Where it is there already, the kubelet starts it at its own pace.
    [ -e "$definition" ] || [ -e "$aside" ] || refuse "there is no $definition"
    [ ! -e "$marker" ] || make_member
    put_back
    use_up
    ;;
restart)
    kubelet_runs
    until_noticed
    start_anew
    ;;
replace)
    kubelet_runs
    fit_to_move
    put "$definition" "$3"
    use_up
    ;;
write)
    # Of a pod that is not to run yet.
    [ ! -e "$definition" ] || refuse "$definition is there already"
    fit_to_move
    put "$aside" "$3"
    ;;
esac

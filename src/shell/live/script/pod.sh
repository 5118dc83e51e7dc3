# shellcheck shell=dash disable=SC2034,SC2154
# One verb for the static pod of etcd; static-pod.sh goes before. Whether it serves is not waited for here.
verb=$1 marker=$2

# put MANIFEST BYTES: in the place of the one that is there, which is kept, with its mode and owner. By one rename, from where the
# kubelet does not look.
put() {
    leftover=$aside.new
    stage "$leftover" "$2" "$(stat -c %a "$1")" "$(stat -c %u "$1")" "$(stat -c %g "$1")"
    ln -f -- "$1" "$aside.previous"
    mv -T -f -- "$leftover" "$1"
    leftover=
    sync "${1%/*}"
}

case $verb in
reload) ;;
enable) put_back ;;
start)
    kubelet_runs
    # Where it is there already, the kubelet starts it at its own pace.
    [ -e "$definition" ] || [ -e "$aside" ] || refuse "there is no $definition: quorate makes none"
    rm -f -- "$marker"
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
    put "$definition" "$3"
    ;;
write)
    # Of a pod that is not to run yet.
    [ ! -e "$definition" ] || refuse "$definition is there already"
    [ -f "$aside" ] || refuse "$aside is not there any more"
    put "$aside" "$3"
    ;;
esac

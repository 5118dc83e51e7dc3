# shellcheck shell=dash disable=SC2034,SC2154
# One verb for the static pod of etcd; static-pod.sh goes before. Whether it serves is not waited for here.
verb=$1
case $verb in
reload) ;;
enable) put_back ;;
start)
    kubelet_runs
    # Where it is there already, the kubelet starts it at its own pace.
    [ -e "$definition" ] || [ -e "$aside" ] || refuse "there is no $definition: quorate makes none"
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
    staged=$aside.new
    leftover=$staged
    stage "$staged" "$2" "$(stat -c %a "$definition")" "$(stat -c %u "$definition")" "$(stat -c %g "$definition")"
    ln -f -- "$definition" "$aside.previous"
    mv -T -f -- "$staged" "$definition"
    leftover=
    sync "$folder"
    ;;
esac

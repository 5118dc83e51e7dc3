# shellcheck shell=dash disable=SC2034,SC2154
# One verb for the static pod of etcd; static-pod.sh goes before. Whether it serves is not waited for here.
verb=$1 marker=$2
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
    staged=$aside.new
    leftover=$staged
    stage "$staged" "$3" "$(stat -c %a "$definition")" "$(stat -c %u "$definition")" "$(stat -c %g "$definition")"
    ln -f -- "$definition" "$aside.previous"
    mv -T -f -- "$staged" "$definition"
    leftover=
    sync "$folder"
    ;;
write)
    # Of a pod that is not to run yet.
    [ ! -e "$definition" ] || refuse "$definition is there already"
    [ -f "$aside" ] || refuse "$aside is not there any more"
    staged=$aside.new
    leftover=$staged
    stage "$staged" "$3" "$(stat -c %a "$aside")" "$(stat -c %u "$aside")" "$(stat -c %g "$aside")"
    ln -f -- "$aside" "$aside.previous"
    mv -T -f -- "$staged" "$aside"
    leftover=
    sync "${aside%/*}"
    ;;
esac

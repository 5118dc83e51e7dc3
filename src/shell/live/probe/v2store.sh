# shellcheck shell=dash disable=SC2034,SC2154
# Whether the store that etcd 3.6 no longer reads holds anything. Older ones of 3.5 cannot tell.
look_v2store() {
    case ${executable##"$q_binaries"/} in
    3.5.*/etcd) ;;
    *) return ;;
    esac
    utility=${executable%/etcd}/etcdutl
    [ -x "$utility" ] || return
    said=$(timeout 10 "$utility" check v2store --data-dir "$q_data" 2>&1 </dev/null)
    status=$?
    case $said in
    *'unknown command'*) return ;;
    esac
    echo "status=$status"
    echo "$said"
}

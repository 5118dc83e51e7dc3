# shellcheck shell=dash disable=SC2034,SC2154
# Whether the store that etcd 3.6 no longer reads holds anything. Older ones of 3.5 cannot tell.
look_v2store() {
    if [ -n "$q_manifest" ]; then
        grep -q '^[ -]*image:.*:v\{0,1\}3\.5\.' "$q_manifest" && [ -n "$pid" ] || return
        # Of the image, whose programs need nothing else of it.
        utility=/proc/$pid/root$q_in_image/etcdutl
    else
        case ${executable##"$q_binaries"/} in
        3.5.*/etcd) ;;
        *) return ;;
        esac
        utility=${executable%/etcd}/etcdutl
    fi
    [ -x "$utility" ] || return
    said=$(timeout 10 "$utility" check v2store --data-dir "$q_data" 2>&1 </dev/null)
    status=$?
    case $said in
    *'unknown command'*) return ;;
    esac
    echo "status=$status"
    echo "$said"
}

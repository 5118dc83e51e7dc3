# shellcheck shell=dash disable=SC2154
# The addresses of the host, and the one from which it speaks to each other node.
look_network() {
    ip -o address show | while read -r _ _ _ address _; do
        echo "own=${address%%/*}"
    done
    for peer in $q_peers; do
        address=${peer#*=}
        # A name is looked up as etcd would.
        found=$(timeout 3 getent ahosts "$address")
        source=$(ip -o route get "${found%%[ "$newline"]*}" 2>/dev/null)
        case $source in
        *" src "*)
            source=${source#* src }
            echo "peer=${peer%%=*} ${source%% *}"
            ;;
        esac
    done
}

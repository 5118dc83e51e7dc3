# shellcheck shell=dash disable=SC2154
# From which of its addresses the host speaks to each other node: the kernel's own answer, for all in one question.
look_sources() {
    for peer in $q_peers; do
        echo "route get $peer"
    done | ip -o -force -batch - 2>/dev/null
}

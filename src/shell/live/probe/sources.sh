# shellcheck shell=dash disable=SC2154
# From which of its addresses the host speaks to each other node, and whether it has its own: the kernel's own answers, for
# all in one question. That of the loopback shows that it was answered.
look_sources() {
    if read -r nonlocal </proc/sys/net/ipv4/ip_nonlocal_bind && [ "$nonlocal" = 1 ]; then
        echo nonlocal=yes
    fi
    {
        if [ -n "$q_address" ]; then
            echo "addr show to 127.0.0.1"
            echo "addr show to $q_address"
        fi
        for peer in $q_peers; do
            echo "route get $peer"
        done
    } | ip -o -force -batch - 2>/dev/null
}

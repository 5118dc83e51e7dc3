# shellcheck shell=dash disable=SC2034,SC2154
# Who has a connection to the client port: from the kernel's own table, each address once. Programs on this host are looked
# for, by reading every process, only while ca.crt holds more than one authority: then it matters who they are.
look_clients() {
    authorities=0 told='' count=0
    # Each of these programs costs every look a millisecond, so it is one.
    found=$(grep -hosE -e ":$q_client_port_hex [0-9A-F]+:[0-9A-F]+ 01 " -e '^-----BEGIN CERTIFICATE' -- \
        /proc/net/tcp /proc/net/tcp6 "$q_trust")
    for word in $found; do
        case $word in
        CERTIFICATE) authorities=$((authorities + 1)) ;;
        [0-9A-F]*:*)
            address=${word%:*}
            case "$told " in
            *" $address "*) continue ;;
            esac
            count=$((count + 1))
            [ "$count" -le 200 ] || continue
            told="$told $address"
            echo "$address"
            ;;
        esac
    done
    if [ "$authorities" -gt 1 ]; then
        echo '[programs]'
        ss -tnpH state established "( dport = :$q_client_port )" 2>/dev/null | head -n 500
    fi
}

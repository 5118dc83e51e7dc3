# shellcheck shell=dash disable=SC2034,SC2154
# Who has a connection to the client port: from the kernel's own table, each address once. Programs on this host are looked
# for, by reading every process, only while ca.crt holds more than one authority: then it matters who they are.
look_clients() {
    grep -hoE ":$q_client_port_hex [0-9A-F]+:[0-9A-F]+ 01 " /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        cut -d : -f 2 | sort -u | head -n 200
    authorities=$(grep -cs -e '^-----BEGIN CERTIFICATE' -- "$q_trust")
    if [ "${authorities:-0}" -gt 1 ]; then
        echo '[programs]'
        ss -tnpH state established "( dport = :$q_client_port )" 2>/dev/null | head -n 500
    fi
}

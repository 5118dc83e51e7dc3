# shellcheck shell=dash disable=SC2034,SC2154
# Who has a connection to the client port, each address once. Programs on this host are looked for, by reading every
# process, only while ca.crt holds more than one authority: then it matters who they are.
look_clients() {
    told='' count=0
    # Addresses of IPv6 stand in brackets, which would be patterns of names of files.
    set -f
    for address in $connected; do
        case "$told " in
        *" $address "*) continue ;;
        esac
        count=$((count + 1))
        [ "$count" -le 200 ] || break
        told="$told $address"
        echo "$address"
    done
    set +f
    if has_two "$q_trust"; then
        echo '[programs]'
        ss -tnpH state established "( dport = :$q_client_port )" 2>/dev/null | head -n 500
    fi
}

# has_two FILE: whether it holds more than one certificate.
has_two() {
    begun=''
    while IFS= read -r line || [ -n "$line" ]; do
        case $line in
        '-----BEGIN CERTIFICATE'*)
            [ -z "$begun" ] || return 0
            begun=yes
            ;;
        esac
    done 2>/dev/null <"$1"
    return 1
}

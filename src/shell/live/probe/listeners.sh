# shellcheck shell=dash disable=SC2034,SC2154
# Who listens on our ports, from the kernel's own table: ss would take three times as long to say the same. Who that is
# ss alone can say, by reading every process; that is done only when it is not our etcd's user.
look_listeners() {
    listening=$(grep -h -E ":($q_ports_hex) [0:]+ 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    echo "$listening"
    foreign='' serving=''
    IFS=$newline
    for line in $listening; do
        IFS=" $tab$newline"
        # shellcheck disable=SC2086
        set -- $line
        # sl, local address, remote address, state, queues, timer, retransmissions, uid
        if [ "$8" != "$uid" ]; then
            foreign=yes
        elif [ "${2##*:}" = "$q_client_port_hex" ]; then
            serving=yes
        fi
    done
    IFS=" $tab$newline"
    if [ -n "$foreign" ] && [ -z "$pid" ]; then
        # A recovery that was killed: its etcd ends within a minute, or when our unit is started.
        echo '[forced]'
        systemctl show --value -p MainPID quorate-force-new-cluster.service
    fi
    if [ -n "$foreign" ]; then
        echo '[holders]'
        ss -ltnpH
    fi
    # An etcd that still listens where it was told to at its start, before the declaration changed.
    if [ -z "$serving" ] && [ -n "$uid" ]; then
        echo '[own]'
        ss -ltnpH | grep -F ",pid=$pid,"
    fi
}

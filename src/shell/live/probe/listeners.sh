# shellcheck shell=dash disable=SC2034,SC2154
# Who listens on our ports, and who is connected to the client port: `ss` asks the kernel for these alone. /proc/net/tcp, which is read
# where there is no ss, costs a walk through every connection of the whole machine, its containers' included. Who it is that
# listens can only be said by reading every process; that is done only when it is not our etcd's user.
look_listeners() {
    # The first port on which not only root may listen.
    { read -r first </proc/sys/net/ipv4/ip_unprivileged_port_start; } 2>/dev/null && echo "unprivileged=$first"
    foreign='' serving='' connected=''
    sockets=$(ss -Htne state listening state established "( $q_ports )" 2>/dev/null) ||
        sockets=$(grep -hE ":($q_ports_hex) [0-9A-F]+:[0-9A-F]+ (0A|01) " /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    # Addresses of IPv6 stand in brackets, which would be patterns of names of files.
    set -f
    IFS=$newline
    for line in $sockets; do
        IFS=" $tab$newline"
        # shellcheck disable=SC2086
        set -- $line
        case $1 in
        *:) # number, own end, other end, state, queues, timer, retransmissions, user
            port=$((0x${2##*:})) far=${3%:*} user=$8
            case $4 in 0A) state=LISTEN ;; *) state=ESTAB ;; esac
            ;;
        *) # state, two queues, own end, other end, and of the rest the user, who is not named where it is root
            state=$1 port=${4##*:} far=${5%:*}
            user=${line#* uid:}
            case $user in "$line") user=0 ;; *) user=${user%% *} ;; esac
            ;;
        esac
        if [ "$state" = LISTEN ]; then
            echo "$port $user"
            if [ "$user" != "$uid" ]; then
                foreign=yes
            elif [ "$port" = "$q_client_port" ]; then
                serving=yes
            fi
        elif [ "$port" = "$q_client_port" ]; then
            connected="$connected $far"
        fi
    done
    IFS=" $tab$newline"
    set +f
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

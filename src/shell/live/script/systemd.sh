# shellcheck shell=dash disable=SC2034,SC2154
# What runs etcd is systemd. $etcd: its unit; $definition: the file of that.

# Returns when etcd is dead, which systemd sees to, and when it does not start at boot any more.
stop_for_good() {
    systemctl disable --quiet -- "$etcd" || [ ! -e "$definition" ] || refuse "$etcd could not be disabled"
    case $(systemctl show --value -p ActiveState -- "$etcd") in
    inactive | failed) ;;
    *) systemctl stop -- "$etcd" ;;
    esac
    systemctl reset-failed -- "$etcd" 2>/dev/null || :
    is_dead || refuse "$etcd does not stop"
}

# Whom etcd's data is for, where no directory shows it.
owner_of_data() {
    user=$(systemctl show --value -p User -- "$etcd")
    id -u "${user:-root}" && id -g "${user:-root}"
}

# Nothing was kept of them.
forget_tools() {
    :
}

is_dead() {
    case $(systemctl show --value -p ActiveState -- "$etcd") in
    inactive | failed) ;;
    *) return 1 ;;
    esac
    [ "$(systemctl show --value -p MainPID -- "$etcd")" = 0 ]
}

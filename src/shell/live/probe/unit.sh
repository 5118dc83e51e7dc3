# shellcheck shell=dash disable=SC2034,SC2154
# What systemd says of the unit.
look_unit() {
    properties=ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,DropInPaths,ExecMainStartTimestamp,FragmentPath
    properties=$properties,ProtectHome,ProtectSystem,InaccessiblePaths,TemporaryFileSystem,ReadOnlyPaths,ReadWritePaths
    properties=$properties,BindPaths,StateDirectory,NoExecPaths,ExecPaths,User
    properties=$properties,ExecMainPID,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic
    properties=$properties,Result,ExecMainStatus,ExecStartPre,InvocationID,EnvironmentFiles
    unit=$(systemctl show --no-pager -p "$properties" -- "$q_service")
    echo "$unit"
    pid="$newline$unit"
    pid=${pid##*"$newline"MainPID=}
    pid=${pid%%"$newline"*}
    case $pid in
    0 | *[!0-9]*) pid='' ;;
    esac
    # As whom a service runs that somebody else has set up.
    if [ -z "$q_account" ]; then
        case "$newline$unit" in
        *"${newline}User="[!"$newline"]*)
            q_account="$newline$unit$newline"
            q_account=${q_account#*"${newline}User="}
            q_account=${q_account%%"$newline"*}
            ;;
        *) q_account=root ;;
        esac
        echo "account=$q_account"
    fi
    # Which settings they have, and not what these are: an environment may hold a secret.
    paths="$newline$unit$newline"
    paths=${paths#*"$newline"DropInPaths=}
    paths=${paths%%"$newline"*}
    # Those that systemd has not read yet, and will at a reload or the next boot; of two with one name it takes one.
    for path in /etc/systemd/system/"$q_service".d/*.conf /run/systemd/system/"$q_service".d/*.conf \
        /usr/local/lib/systemd/system/"$q_service".d/*.conf /usr/lib/systemd/system/"$q_service".d/*.conf; do
        [ -f "$path" ] || continue
        case "$paths " in
        *"/${path##*/} "*) ;;
        *)
            echo "drop-in-unread=$path"
            paths="$paths $path"
            ;;
        esac
    done
    for path in $paths; do
        [ -f "$path" ] || continue
        while read -r line || [ -n "$line" ]; do
            case $line in
            [A-Z]*=*) echo "drop-in=$path ${line%%=*}" ;;
            esac
        done <"$path"
    done
}

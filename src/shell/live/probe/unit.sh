# shellcheck shell=dash disable=SC2034,SC2154
# What systemd says of the unit.
look_unit() {
    properties=ActiveState,SubState,MainPID,UnitFileState,NeedDaemonReload,DropInPaths,ExecMainStartTimestamp,FragmentPath
    properties=$properties,ProtectHome,ProtectSystem,InaccessiblePaths,TemporaryFileSystem,ReadOnlyPaths,ReadWritePaths
    properties=$properties,BindPaths,StateDirectory,NoExecPaths,ExecPaths,User
    properties=$properties,ExecMainPID,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic
    properties=$properties,Result,ExecMainStatus,ExecStartPre,InvocationID
    unit=$(systemctl show --no-pager -p "$properties" -- "$q_service")
    echo "$unit"
    pid="$newline$unit"
    pid=${pid##*"$newline"MainPID=}
    pid=${pid%%"$newline"*}
    case $pid in
    0 | *[!0-9]*) pid='' ;;
    esac
    # Which settings they have, and not what these are: an environment may hold a secret.
    paths="$newline$unit$newline"
    paths=${paths#*"$newline"DropInPaths=}
    for path in ${paths%%"$newline"*}; do
        [ -f "$path" ] || continue
        while read -r line || [ -n "$line" ]; do
            case $line in
            [A-Z]*=*) echo "drop-in=$path ${line%%=*}" ;;
            esac
        done <"$path"
    done
}

# shellcheck shell=dash
# attended PROGRAM …: runs it, and ends it when nobody reads what it prints any more: stdin, as 3, is open for so long.
# It reads 4, because a shell that starts a program beside itself gives it an empty stdin.
exec 3<&0
attended() {
    "$@" <&4 3<&- 4<&- &
    child=$!
    {
        exec 4<&-
        cat <&3
        kill "$child"
    } >/dev/null 2>&1 &
    watch=$!
    # Some shells say what a signal has ended, and would end by that themselves, before anything is cleared up.
    trap '' PIPE
    status=0
    wait "$child" || status=$?
    kill "$watch" 2>/dev/null
    return "$status"
}

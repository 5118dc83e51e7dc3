# shellcheck shell=dash
# Ends the process that holds the lock of this host, if it is still the holder that was looked at ($1: its token).
lock=/run/quorate.lock
if [ ! -e "$lock" ] || flock -n "$lock" true; then
    echo free
    exit 0
fi
token='' pid=''
{ read -r token && read -r pid; } <"$lock"
pid=${pid#pid=}
[ "$token" = "token=$1" ] || {
    echo "the lock has a new holder" >&2
    exit 75
}
[ "/proc/$pid/fd/9" -ef "$lock" ] || {
    echo "process $pid does not hold it" >&2
    exit 1
}
kill "$pid"
if ! flock -w 5 "$lock" true; then
    kill -9 "$pid"
    flock -w 5 "$lock" true || {
        echo "the lock is still held" >&2
        exit 1
    }
fi
logger -t quorate -- "$2: done" || :
echo broken

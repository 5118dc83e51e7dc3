# shellcheck shell=dash
# Says who holds the lock of this host.
lock=/run/quorate.lock
[ -e "$lock" ] || exit 0
status=0
flock -n "$lock" true || status=$?
case $status in
0) ;;
1)
    echo held=yes
    cat "$lock"
    ;;
*) exit "$status" ;;
esac

# shellcheck shell=dash
# Says who holds the lock of this host.
LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
echo quorate-begin
lock=/run/quorate.lock
[ -e "$lock" ] || exit 0
if ! flock -n "$lock" true; then
    echo held=yes
    cat "$lock"
fi

# shellcheck shell=dash
# Says who holds the lock of this host.
lock=/run/quorate.lock
[ -e "$lock" ] || exit 0
if is_held "$lock"; then
    echo held=yes
    cat "$lock"
fi

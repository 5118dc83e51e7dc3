# shellcheck shell=dash
# Takes the lock of this host and keeps it until stdin ends, which it does when the connection goes. No process but this
# shell has the file open: when it is gone, so is the lock.
lock=/run/quorate.lock
command -v flock >/dev/null || {
    echo "flock is missing on this host (package util-linux)" >&2
    exit 1
}
exec 9<>"$lock" || exit 1
if ! flock -n 9; then
    cat "$lock"
    exit 75
fi
printf 'token=%s\npid=%s\noperator=%s\nsince=%s\npurpose=%s\n' "$1" "$$" "$2" "$3" "$4" >"$lock" || exit 1
# No word but the token says that it is held: it is another one for each lock.
echo "quorate-held $1"
while read -r _; do
    :
done
: >"$lock"

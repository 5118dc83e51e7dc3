# shellcheck shell=dash disable=SC2034,SC2154
# Makes the account and the folders that are missing. $1: account; $2: its home; then PATH MODE OWNER GROUP of each folder.
account=$1 home=$2
shift 2
umask 022
getent group "$account" >/dev/null || groupadd --system "$account"
if ! getent passwd "$account" >/dev/null; then
    shell=/usr/sbin/nologin
    [ -x "$shell" ] || shell=/bin/false
    useradd --system --gid "$account" --no-create-home --home-dir "$home" --shell "$shell" "$account"
fi
while [ "$#" -ge 4 ]; do
    if [ ! -d "$1" ]; then
        mkdir -p -- "${1%/*}"
        mkdir -m 700 -- "$1"
        chown "$3:$4" "$1"
        chmod "$2" "$1"
    fi
    shift 4
done

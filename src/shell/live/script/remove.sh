# shellcheck shell=dash disable=SC2034,SC2154
# Removes one file. $2: `reload` when systemd is to notice.
rm -f -- "$1"
sync "${1%/*}/" 2>/dev/null || :
[ "$2" != reload ] || systemctl daemon-reload

# shellcheck shell=dash disable=SC2034,SC2154
# Takes scheduled snapshots off a node. $1: the timer; $2: the service; then the files, keys among them. What they told
# Prometheus goes, too: nobody tells it anything new.
timer=$1 service=$2
shift 2
systemctl disable --quiet -- "$timer" 2>/dev/null || :
systemctl stop -- "$timer" 2>/dev/null || :
systemctl stop -- "$service" 2>/dev/null || :
metrics=$(systemctl show --value -p Environment -- "$service" | tr ' ' '\n' | sed -n 's/^QUORATE_METRICS=//p')
[ -z "$metrics" ] || rm -f -- "$metrics/quorate_backup.prom"
for file; do
    [ -e "$file" ] || [ -L "$file" ] || continue
    case $file in
    *.crt | *.key) mv -T -f -- "$file" "$file.previous" ;;
    *) rm -f -- "$file" ;;
    esac
    sync "${file%/*}/" 2>/dev/null || :
done
systemctl daemon-reload
systemctl reset-failed -- "$service" 2>/dev/null || :

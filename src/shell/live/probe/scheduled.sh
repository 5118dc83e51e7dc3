# shellcheck shell=dash disable=SC2034,SC2154
# The timer of scheduled snapshots, the newest one by its name, and the last drill. Only a finished one has such a name.
look_scheduled() {
    if [ -z "$q_compressor" ] || command -v "$q_compressor" >/dev/null; then
        echo compressor=present
    fi
    newest=
    # What a clock that was ahead has named says nothing of when the last one was taken. Clocks of hosts differ a little.
    latest=$(date -d '10 minutes' +%Y%m%d%H%M%S 2>/dev/null) || latest=99999999999999
    # Sorted by the shell: the newest comes last.
    for path in "$q_backup"/snapshot-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]_[0-9][0-9][0-9][0-9][0-9][0-9].db*; do
        case $path in
        *.db | *.db.zst | *.db.gz) ;;
        *) continue ;;
        esac
        stamp=${path##*/snapshot-}
        stamp=${stamp%%.*}
        if [ -f "$path" ] && [ "${stamp%_*}${stamp#*_}" -le "$latest" ]; then
            newest=$path
        fi
    done
    if [ -n "$newest" ]; then
        echo "last=${newest##*/}"
        printf 'bytes='
        stat -c %s "$newest"
    fi
    if [ -f "$q_backup/last-drill.json" ]; then
        printf 'drill='
        head -c 1000 "$q_backup/last-drill.json" | tr -d '\n'
        echo
    fi
    systemctl show --no-pager -p UnitFileState,ActiveState,NeedDaemonReload -- quorate-backup.timer quorate-backup.service
}

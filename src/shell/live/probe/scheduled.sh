# shellcheck shell=dash disable=SC2034,SC2154
# The timer of scheduled snapshots, how its last run ended, the newest snapshot of each cluster by its name, and the last
# drill. Only a finished one has such a name; of which cluster it is, and how long, stands beside it.
look_scheduled() {
    if [ -z "$q_compressor" ] || command -v "$q_compressor" >/dev/null; then
        echo compressor=present
    fi
    if [ -n "$q_mount" ] && ! mounted "$q_backup" "$q_data"; then
        echo "unmounted=$mount"
    fi
    # As the process sees it: that of a pod is in its image.
    if [ -n "$pid" ] && [ -n "$executable" ] && [ ! -x "/proc/$pid/root${executable%/*}/etcdctl" ] && [ -d "/proc/$pid" ]; then
        echo etcdctl=absent
    fi
    clusters=
    # What a clock that was ahead has named says nothing of when the last one was taken. Clocks of hosts differ a little.
    latest=$(date -d '10 minutes' +%Y%m%d%H%M%S 2>/dev/null) || latest=99999999999999
    # Sorted by the shell: the newest comes last.
    for path in "$q_backup"/snapshot-[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]_[0-9][0-9][0-9][0-9][0-9][0-9].db*; do
        case $path in
        *.db | *.db.zst | *.db.gz) ;;
        *) continue ;;
        esac
        stamp=${path##*/snapshot-}
        case $stamp in
        *[!a-z0-9_.]*) continue ;;
        esac
        stamp=${stamp%%.*}
        [ -f "$path" ] || continue
        [ "${stamp%_*}${stamp#*_}" -le "$latest" ] || continue
        line=
        { read -r line <"$path.json"; } 2>/dev/null
        case $line in
        *'"cluster_id":"'*) ;;
        *) continue ;;
        esac
        cluster=${line#*'"cluster_id":"'}
        cluster=${cluster%%'"'*}
        case $cluster in
        '' | *[!0-9a-f]*) continue ;;
        esac
        long=
        case $line in
        *'"bytes":'*)
            long=${line#*'"bytes":'}
            long=${long%%[!0-9]*}
            ;;
        esac
        case " $clusters " in
        *" $cluster "*) ;;
        *) clusters="$clusters $cluster" ;;
        esac
        # Three of each: one that was cut since does not count.
        eval "third_$cluster=\${second_$cluster-} second_$cluster=\${first_$cluster-}"
        eval "first_$cluster=\"\$path \$long\""
    done
    for cluster in $clusters; do
        for place in third second first; do
            eval "found=\${${place}_$cluster-}"
            [ -n "$found" ] || continue
            path=${found% *}
            printf 'snapshot=%s %s %s %s\n' "$cluster" "${path##*/}" "$(stat -c %s "$path")" "${found##* }"
        done
    done
    if [ -f "$q_last" ]; then
        while read -r line; do
            echo "run-$line"
        done <"$q_last"
    fi
    if [ -f "$q_backup/last-drill.json" ]; then
        printf 'drill='
        head -c 1000 "$q_backup/last-drill.json" | tr -d '\n'
        echo
    fi
    systemctl show --no-pager -p UnitFileState,ActiveState,NeedDaemonReload,ActiveEnterTimestamp -- quorate-backup.timer quorate-backup.service
}

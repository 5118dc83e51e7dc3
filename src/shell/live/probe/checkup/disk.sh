# shellcheck shell=dash disable=SC2154
# The file system of the data directory, and how long it takes to sync a write, as etcd does for each entry of its log: a
# small one behind the others, into a file that has its size already.
look_disk() {
    folder=$q_data
    while [ ! -d "$folder" ]; do
        folder=${folder%/*}
        folder=${folder:-/}
    done
    echo "folder=$folder"
    findmnt -n -r -o TARGET,FSTYPE,OPTIONS -T "$folder"
    [ -n "$q_measure" ] || return 0
    # Beside the data directory, unless that is the root of its file system.
    above=${folder%/*}
    above=${above:-/}
    if [ "$(stat -c %d "$above")" = "$(stat -c %d "$folder")" ]; then
        folder=$above
    fi
    scratch=$(mktemp "$folder/.quorate-doctor.XXXXXX") || return 0
    trap 'rm -f -- "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    dd if=/dev/zero of="$scratch" bs=4096 count=64 conv=fsync 2>/dev/null || return 0
    count=0
    end=$(($(date +%s) + 8))
    while [ "$count" -lt 100 ] && [ "$(date +%s)" -lt "$end" ]; do
        dd if=/dev/zero of="$scratch" bs=2300 count=1 seek="$count" oflag=dsync conv=notrunc 2>&1 | tail -n 1
        count=$((count + 1))
    done
}

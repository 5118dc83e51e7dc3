# shellcheck shell=dash
# Who holds the lock of this host. The file of one that is free is empty, so that no program is started for it; one that can
# be had is held by nobody: what it says is left over.
look_lock() {
    lock=/run/quorate.lock
    [ -s "$lock" ] || return
    is_held "$lock" || return 0
    while IFS= read -r line; do
        case $line in
        token=* | operator=* | since=* | purpose=*) echo "$line" ;;
        esac
    done <"$lock"
}

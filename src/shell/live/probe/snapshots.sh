# shellcheck shell=dash disable=SC2154
# What was saved before an upgrade or another change.
look_snapshots() {
    if [ -d "$q_snapshots" ]; then
        stat -c '%Y %n' "$q_snapshots"/before-*.db 2>/dev/null
    fi
}

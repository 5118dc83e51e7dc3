# shellcheck shell=dash disable=SC2154
# Snapshots that were pushed for a restore. Only a whole one has such a name.
look_pushed() {
    for path in "$q_data".restore-*.db; do
        [ -f "$path" ] && echo "$path"
    done
}

# shellcheck shell=dash disable=SC2154
# What was saved before an upgrade or another change, and what is known of each: of which cluster it is, and how long.
look_snapshots() {
    [ -d "$q_snapshots" ] || return
    for path in "$q_snapshots"/before-*.db; do
        line=
        { read -r line <"$path.json"; } 2>/dev/null
        [ -z "$line" ] || echo "known $path $line"
    done
    stat -c '%Y %s %n' "$q_snapshots"/before-*.db 2>/dev/null
}

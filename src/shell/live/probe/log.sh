# shellcheck shell=dash disable=SC2034,SC2154
# The cluster version in the newest snapshot of the raft log: the last by its name, term and index in hex.
look_log() {
    [ -n "$pid" ] || return
    newest=
    for path in "$q_data"/member/snap/*.snap; do
        [ -f "$path" ] && newest=$path
    done
    [ -n "$newest" ] || return
    said=$(grep -a -o -m 1 '"Path":"/0/version"[^}]*"Value":"[0-9.]*"' "$newest") || return
    said=${said%\"}
    echo "version=${said##*\"}"
}

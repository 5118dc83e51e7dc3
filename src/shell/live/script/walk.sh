# shellcheck shell=dash
# Run as etcd's account: for each path, the first directory on the way that it cannot pass, or the program at its end, the
# one called etcd, that it cannot execute. What is not there yet is made later; a link is followed by the path behind it.
for path; do
    rest=${path#/} at=
    while [ -x "${at:-/}" ] && [ -n "$rest" ]; do
        at=$at/${rest%%/*}
        case $rest in
        */*) rest=${rest#*/} ;;
        *) rest='' ;;
        esac
        [ -e "$at" ] || continue 2
        if [ -z "$rest" ]; then
            case $at in
            */etcd) [ -f "$at" ] || continue 2 ;;
            *) continue 2 ;;
            esac
        fi
    done
    [ -x "${at:-/}" ] || printf '%s\t%s\n' "$path" "${at:-/}"
done

# shellcheck shell=dash
# Run as etcd's account: for each path, the first directory on the way that it cannot pass, or the program at its end, the
# one called etcd, that it cannot execute. What is not there yet is made later; a link is followed by the path behind it.
# $1: the data directory, if the account can have data.
data=$1
shift
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
# And what another account has written in the data, if it is this one's: a member that root has run, say.
[ -n "$data" ] || exit 0
for path in "$data"/member "$data"/member/* "$data"/member/wal/*.wal "$data"/member/snap/*.snap "$data"/member/snap/db; do
    if [ -e "$path" ] && [ ! -O "$path" ]; then
        printf '%s\t%s\n' "$data" "$path"
        break
    fi
done

# shellcheck shell=dash disable=SC2034,SC2154
# Goes before every script that changes something. $1: the token of our lock; $2: the line for the audit trail.
set -eu
token=$1 audit=$2
shift 2
# What goes in any case when the script ends: a process that it has started, what it has half made, and keys that it was
# given for a while.
child='' leftover='' secret=''

refuse() {
    echo "$*" >&2
    exit 1
}

ended() {
    status=$?
    [ -z "$child" ] || kill -9 "$child" 2>/dev/null || :
    [ -z "$leftover" ] || rm -rf -- "$leftover"
    [ -z "$secret" ] || rm -rf -- "$secret"
    case $status in
    0) logger -t quorate -- "$audit: done" || : ;;
    *) logger -t quorate -- "$audit: failed with status $status" || : ;;
    esac
}

# One change at a time, also when the run that began the last one was killed and its script still goes on. Every program
# that a script starts inherits the open file, so the wait is for all of them.
exec 8>/run/quorate.busy
if ! flock -w 30 8; then
    echo "another change is still running on this host: check what holds /run/quorate.busy" >&2
    exit 1
fi
# Ours is the lock whose file names us, and that somebody holds.
lock=/run/quorate.lock
holder=
{ read -r holder <"$lock"; } 2>/dev/null || :
if [ "$holder" != "token=$token" ] || flock -n "$lock" true; then
    echo "this run no longer holds the lock on this host" >&2
    exit 75
fi
trap ended EXIT
trap 'exit 124' HUP INT TERM

# stage FILE BYTES MODE OWNER GROUP: makes FILE of that much of stdin, whole and on the disk.
stage() {
    rm -f -- "$1"
    head -c "$2" >"$1"
    [ "$(stat -c %s "$1")" = "$2" ] || refuse "only a part of ${1##*/} arrived"
    chown "$4:$5" "$1"
    chmod "$3" "$1"
    sync "$1"
}

# free_in FOLDER: in KiB.
free_in() {
    df -P -k -- "$1" | tail -n 1 | tr -s ' ' | cut -d ' ' -f 4
}

# tool_in FOLDER: what works on snapshots, of the etcd there. From 3.6 on etcdctl cannot; before 3.5 there is no etcdutl.
tool_in() {
    if [ -x "$1/etcdutl" ]; then
        echo "$1/etcdutl"
    else
        echo "$1/etcdctl"
    fi
}

# Keeps what is about to be replaced, under one name more: one generation, the same owner and mode.
keep() {
    [ -e "$1" ] || return 0
    [ "$1" -ef "$1.previous" ] || ln -f -- "$1" "$1.previous"
}

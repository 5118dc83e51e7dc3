# shellcheck shell=dash
# Prints the log that the newest pod of etcd has on this host, behind attended.sh, with its time before each line. $@: words for
# tail. What tail has to say is shown at once, too.
set -u
# Their names are made of letters, digits and - _ . / only.
# shellcheck disable=SC2012
newest=$(ls -t /var/log/pods/*_etcd-*/etcd/*.log 2>/dev/null | head -n 1)
[ -n "$newest" ] || {
    echo "no pod of etcd has a log in /var/log/pods on this host" >&2
    exit 1
}
attended tail "$@" -- "$newest" 4</dev/null 2>&1

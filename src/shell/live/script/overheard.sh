# shellcheck shell=dash
# What etcd's log here says of connections that were refused, on either side. $1: the unit; $2: how many seconds back.
timeout 10 journalctl --no-pager --utc --output short-iso --since "-$2s" --lines 4000 "_SYSTEMD_UNIT=$1" |
    grep -E -e 'rejected connection|ID mismatch|bad certificate|tls: |x509: |does not match' | tail -n 60 | cut -c 1-3000
exit 0

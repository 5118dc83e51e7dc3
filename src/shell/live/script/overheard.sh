# shellcheck shell=dash
# What etcd's log here says of connections that were refused, on either side. $1: the unit; $2: how many seconds back.
LC_ALL=C TZ=UTC PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL TZ PATH
echo quorate-begin
timeout 10 journalctl --no-pager --utc --output short-iso --since "-$2s" --lines 4000 "_SYSTEMD_UNIT=$1" |
    grep -E -e 'rejected connection|ID mismatch|bad certificate|tls: |x509: |does not match' | tail -n 60 | cut -c 1-3000
exit 0

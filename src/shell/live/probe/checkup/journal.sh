# shellcheck shell=dash disable=SC2154
# What etcd has complained of in the last hour. A connection that only knocks, as ours to the ports do, is no complaint, nor
# is what etcd says at every start of a configuration without fault; nor is our question whether a user has a password.
look_journal() {
    tell_log |
        grep -E '"level":"(warn|error|dpanic|panic|fatal)"' |
        grep -v -e '"error":"EOF"' -e 'Running http and grpc server on single port' \
            -e 'simple token is not cryptographically signed' \
            -e 'password was given for no password user' |
        grep -o '"msg":"[^"]*"' | sort | uniq -c | sort -rn | head -n 5
}

# The lines of the last hour. Of a static pod they are in files, each with its time before it, which is that of the host's zone.
tell_log() {
    if [ -n "$q_unit" ]; then
        timeout 15 journalctl -u "$q_unit" --since=-1h -o cat -n 20000 --no-pager 2>/dev/null
        return
    fi
    begin="$(unset TZ && date -d "@$(($(date +%s) - 3600))" +%Y-%m-%dT%H:%M:%S) begin"
    { echo "$begin" && timeout 15 tail -q -n 20000 /var/log/pods/*_etcd-*/etcd/*.log 2>/dev/null; } |
        sort | sed -n "/^$begin\$/,\$p"
}

# shellcheck shell=dash disable=SC2034,SC2154
# One verb of systemctl for our unit. A start waits for quorum, so it is not waited for here.
verb=$1 unit=$2 marker=$3 data=$4
case $verb in
reload) systemctl daemon-reload ;;
enable) systemctl enable --quiet -- "$unit" ;;
start | restart)
    # A unit that failed too often is not started again before this.
    systemctl reset-failed -- "$unit" 2>/dev/null || :
    # A recovery that was killed leaves its own etcd for up to a minute, on the same ports and data.
    systemctl stop -- quorate-force-new-cluster.service 2>/dev/null || :
    # Of a service of somebody else, whose unit does not know it: it has said what it was to say.
    # Its directory may have gone with its data, where only root can make it again.
    if [ -n "$marker" ] && [ -e "$marker" ] && [ ! -e "$data" ]; then
        mkdir -p -- "${data%/*}"
        mkdir -m 700 -- "$data"
        chown "$(owner_of_data | tr '\n' ':' | sed 's/:$//')" "$data"
    fi
    [ -z "$marker" ] || rm -f -- "$marker"
    systemctl --no-block "$verb" -- "$unit"
    ;;
esac

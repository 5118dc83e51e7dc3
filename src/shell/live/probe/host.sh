# shellcheck shell=dash disable=SC2034
# Which machine it is, and what time it is there.
look_host() {
    # Linux 6.1 and newer say it without a program.
    if ! { read -r machine </proc/sys/kernel/arch; } 2>/dev/null; then
        machine=$(uname -m)
    fi
    echo "machine=$machine"
    # By it a machine is recognised that is reached under two names.
    if { read -r id </etc/machine-id; } 2>/dev/null; then
        echo "machine-id=$id"
    fi
    printf 'now='
    date +%s
    if [ ! -d /run/systemd/system ]; then
        printf 'init='
        cat /proc/1/comm
        echo '[no-systemd]'
        over=yes
    fi
}

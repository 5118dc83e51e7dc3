# shellcheck shell=dash disable=SC2034
# Which machine it is, and what time it is there.
look_host() {
    # Linux 6.1 and newer say it without a program.
    if ! { read -r machine </proc/sys/kernel/arch; } 2>/dev/null; then
        machine=$(uname -m)
    fi
    echo "machine=$machine"
    # By these together a machine is recognised that is reached under two names: clones share a machine-id, containers of
    # one kernel its boot, and neither the moment in which their process 1 was started as well.
    if { read -r id </etc/machine-id && read -r boot </proc/sys/kernel/random/boot_id && read -r init </proc/1/stat; } \
        2>/dev/null; then
        # What comes after the name in brackets begins with the third field; the start is the 22nd.
        # shellcheck disable=SC2086
        set -- ${init##*)}
        echo "identity=$id $boot ${20}"
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

# shellcheck shell=dash disable=SC2154
# What the process of somebody else's service was started with: a word or a variable a line, so a newline in one becomes a
# space.
look_started_with() {
    [ -n "$pid" ] && [ -d "/proc/$pid" ] || return
    tr '\n\0' ' \n' <"/proc/$pid/cmdline" | sed -e 1d -e 's/^/argument=/'
    tr '\n\0' ' \n' <"/proc/$pid/environ" | sed -n 's/^ETCD_/variable=ETCD_/p'
}

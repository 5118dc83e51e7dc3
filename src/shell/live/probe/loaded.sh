# shellcheck shell=dash disable=SC2034,SC2154
# The digests of what the process loaded, which our unit put into its environment.
look_loaded() {
    [ -n "$pid" ] || return
    value=$(grep -z -m 1 "^$q_loaded=" "/proc/$pid/environ" 2>/dev/null) || return
    recorded=yes
    echo "${value#"$q_loaded="}"
}

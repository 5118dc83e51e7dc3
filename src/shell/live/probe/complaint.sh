# shellcheck shell=dash disable=SC2154
# The end of the log of a unit that does not run, without the frames of a stack trace: there may be more of them than of all
# the rest. A line that has the form of a heading of ours is none.
look_complaint() {
    case $unit in
    *ActiveState=failed* | *SubState=auto-restart*)
        timeout 5 journalctl --no-pager --output cat --lines 400 "_SYSTEMD_UNIT=$q_service" |
            grep -v -E -e '^\[' -e '^[[:space:]]+[^[:space:]]+\.go:[0-9]+' -e '^[^ {]+\(.*\)$' -e '^created by ' | tail -n 40
        ;;
    esac
}

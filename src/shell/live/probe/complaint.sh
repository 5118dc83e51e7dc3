# shellcheck shell=dash disable=SC2154
# The end of the log of a unit that does not run.
look_complaint() {
    case $unit in
    *ActiveState=failed* | *SubState=auto-restart*)
        timeout 5 journalctl --no-pager --output cat --lines 20 "_SYSTEMD_UNIT=$q_service"
        ;;
    esac
}

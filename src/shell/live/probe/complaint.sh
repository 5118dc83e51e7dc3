# shellcheck shell=dash disable=SC2154
# The end of the log of a unit that does not run, of its last start alone: what an earlier process said when it was stopped is
# no reason. Without the frames of a stack trace: there may be more of them than of all the rest. A line that has the form of a heading of ours is none.
look_complaint() {
    if [ -n "$exited" ]; then
        # 2026-11-30T11:25:56.866Z stderr F {"level":…}
        tail -n 400 "$exited" | sed 's/^[^ ]* std[a-z]* [FP] //' | without_traces
        return
    fi
    case $unit in
    *ActiveState=failed* | *SubState=auto-restart*)
        invocation="$newline$unit"
        invocation=${invocation##*"$newline"InvocationID=}
        invocation=${invocation%%"$newline"*}
        case $invocation in
        '' | *[!0-9a-f]*) set -- ;;
        *) set -- "_SYSTEMD_INVOCATION_ID=$invocation" ;;
        esac
        timeout 5 journalctl --no-pager --output cat --lines 400 "_SYSTEMD_UNIT=$q_service" "$@" |
            without_traces
        ;;
    esac
}

# Nor that a locale is not there, which bash says of itself wherever a service has the name of one.
without_traces() {
    grep -v -E -e '^\[' -e ': warning: setlocale: ' -e '^[[:space:]]+[^[:space:]]+\.go:[0-9]+' -e '^[^ {]+\(.*\)$' -e '^created by ' | tail -n 40
}

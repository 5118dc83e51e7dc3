# shellcheck shell=dash disable=SC2154
# Whether something keeps the clock.
look_clock() {
    timeout 10 timedatectl show -p NTPSynchronized
}

# shellcheck shell=dash
# is_held FILE: whether another process holds that lock. flock says so with 1; with anything else (there is no flock, say)
# nobody has found out, and what is not known is not held. Shared, so that two who ask do not find each other.
is_held() {
    held=0
    flock -n -s "$1" true || held=$?
    [ "$held" = 1 ]
}

# shellcheck shell=dash disable=SC2034,SC2154
# Stops etcd for good. $1: the unit; $2: its file.
stop_unit "$1" "$2"

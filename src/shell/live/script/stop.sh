# shellcheck shell=dash disable=SC2034,SC2154
# Stops etcd for good.
stop_for_good

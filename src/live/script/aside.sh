# shellcheck shell=dash disable=SC2034,SC2154
# Sets the data of a former member aside. The permit goes first: with it, etcd would make new data in the place of the old.
unit=$1 data=$2 permit=$3
is_dead "$unit" || refuse "$unit still runs here"
rm -f -- "$permit"
set_aside "$data"

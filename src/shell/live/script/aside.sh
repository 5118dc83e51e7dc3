# shellcheck shell=dash disable=SC2034,SC2154
# Sets the data of a member aside that is dead: of a former one, or before a restore. The permit goes first: with it, etcd would make new data in the place of the old.
unit=$1 data=$2 permit=$3 word=$4
is_dead "$unit" || refuse "$unit still runs here"
rm -f -- "$permit"
set_aside "$data" "$word"

# shellcheck shell=dash disable=SC2034,SC2154
# Sets the data of a member aside that is dead: of a former one, or before a restore. The new-data marker goes first: with it, etcd would make new data in the place of the old.
data=$1 marker=$2 word=$3
is_dead || refuse "$etcd still runs here"
rm -f -- "$marker"
set_aside "$data" "$word"

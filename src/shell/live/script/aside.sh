# shellcheck shell=dash disable=SC2034,SC2154
# Sets the data of a member aside that is dead: of a former one, or before a restore. The new-data marker goes first: with it, etcd would make new data in the place of the old.
# Where $4 is given, an empty directory takes its place, whose owner and mode are the same.
data=$1 marker=$2 word=$3 again=$4
is_dead || refuse "$etcd still runs here"
rm -f -- "$marker"
mode='' owner=''
if [ -n "$again" ] && [ -d "$data" ]; then
    mode=$(stat -c %a -- "$data") owner=$(stat -c %u:%g -- "$data")
fi
set_aside "$data" "$word"
if [ -n "$mode" ] && [ ! -e "$data" ]; then
    mkdir -m 700 -- "$data"
    chown "$owner" "$data"
    chmod "$mode" "$data"
    sync "${data%/*}/"
fi

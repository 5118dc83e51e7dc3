# shellcheck shell=dash disable=SC2034,SC2154
# Forgets a restore that is finished. $1: the note, which goes last; $2: what the names of pushed snapshots begin with.
rm -f -- "$2"*.db
rm -f -- "$1"
sync "${1%/*}"

# shellcheck shell=dash disable=SC2034,SC2154
# Forgets a restore that is finished. $1: the note, which goes last; $2: what the names of pushed snapshots begin with; $3:
# the folder of the snapshots that are saved before changes: they are of data that was set aside.
rm -f -- "$2"*.db
for snapshot in "$3"/before-change-*.db; do
    to=$3/before-restore-${snapshot##*/before-change-}
    # One that nothing is known of may be anybody's.
    [ -f "$snapshot" ] || continue
    [ -f "$snapshot.json" ] || continue
    mv -T -n -- "$snapshot" "$to"
    mv -T -n -- "$snapshot.json" "$to.json"
done
forget_tools
rm -f -- "$1"
sync "${1%/*}"

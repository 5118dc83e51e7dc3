# shellcheck shell=dash disable=SC2034,SC2154
# Puts owner, group and mode back.
path=$1 mode=$2 owner=$3 group=$4
[ -e "$path" ] || refuse "$path is no longer there"
chown "$owner:$group" "$path"
chmod "$mode" "$path"

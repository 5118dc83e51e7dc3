# shellcheck shell=dash disable=SC2034,SC2154
# Writes one file whole: staged beside it, synced, renamed. The content comes on stdin. One of somebody else (theirs) stays where a
# link to it leads, with its mode, owner and group; without a mode it is not made, either.
path=$1 bytes=$2 mode=$3 owner=$4 group=$5 previous=$6 then=$7 whose=$8
if [ "$whose" = theirs ] && { [ -z "$mode" ] || [ -e "$path" ]; }; then
    path=$(readlink -e -- "$path") || refuse "$1 is not there any more"
    mode=$(stat -c %a -- "$path") owner=$(stat -c %u -- "$path") group=$(stat -c %g -- "$path")
fi
folder=${path%/*}
staged=$folder/.${path##*/}.quorate
if [ "$(readlink "$path")" = /dev/null ]; then
    refuse "$path is a link to /dev/null: it was masked by hand; \`systemctl unmask\` undoes that"
fi
[ ! -d "$path" ] || refuse "$path is a folder"
# The folder of our own programs is made here; all others are prepared before.
[ -d "$folder" ] || (umask 022 && mkdir -p -- "$folder")
leftover=$staged
stage "$staged" "$bytes" "$mode" "$owner" "$group"
case $previous in
always) keep "$path" ;;
foreign)
    first=
    { read -r first <"$path"; } 2>/dev/null || :
    case $first in
    '# Kept by quorate '*) ;;
    *) keep "$path" ;;
    esac
    ;;
esac
mv -T -f -- "$staged" "$path"
leftover=
sync "$folder"
case $then in
reload) systemctl daemon-reload ;;
restart)
    systemctl daemon-reload
    systemctl try-restart -- "${path##*/}"
    ;;
esac

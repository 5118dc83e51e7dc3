# shellcheck shell=dash disable=SC2034,SC2154
# Takes away what a former member leaves. After the words named below come the files, those by which the host is
# recognised as ours last: a run that is cut off is finished by the next.
data=$1 binaries=$2 links=$3
shift 3
stop_for_good
for backup in quorate-backup.timer quorate-backup.service; do
    systemctl disable --quiet -- "$backup" 2>/dev/null || :
    systemctl stop -- "$backup" 2>/dev/null || :
done
set_aside "$data" removed
for tool in etcdctl etcdutl; do
    case $(readlink "$links/$tool") in
    "$binaries"/*) rm -f -- "$links/$tool" ;;
    esac
done
rm -f -- "$definition"
for file; do
    rm -f -- "$file"
    case $file in
    # What others wrote in the place of a text of ours is left to them.
    *.crt | *.key) rm -f -- "$file.previous" ;;
    esac
    sync "${file%/*}/" 2>/dev/null || :
done
systemctl daemon-reload

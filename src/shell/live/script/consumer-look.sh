# shellcheck shell=dash
# Only reads: the files of consumers, each with its owner and mode and what is in it. The last word of a triple is what
# says that a reload is due.
#
#     file PATH MODE OWNER GROUP BASE64
#     key PATH MODE OWNER GROUP SHA256-OF-ITS-PUBLIC-POINT
#     due PATH
LC_ALL=C PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
echo quorate-begin
while [ $# -ge 2 ]; do
    kind=$1 path=$2
    shift 2
    [ -e "$path" ] || continue
    case $kind in
    due) echo "due $path" ;;
    file) echo "file $path $(stat -L -c '%a %U %G' "$path") $(base64 -w 0 <"$path")" ;;
    key)
        point=$(sed /-----/d "$path" | base64 -d 2>/dev/null | tail -c 65 | sha256sum)
        echo "key $path $(stat -L -c '%a %U %G' "$path") ${point%% *}"
        ;;
    esac
done
echo quorate-end

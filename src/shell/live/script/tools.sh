# shellcheck shell=dash disable=SC2034,SC2154
# Links the command line tools of one version. What is there and is not our link stays.
root=$1 folder=$2 links=$3
umask 022
mkdir -p -- "$links"
for tool in etcdctl etcdutl; do
    [ -x "$folder/$tool" ] || continue
    link=$links/$tool
    if [ -e "$link" ] || [ -L "$link" ]; then
        case $(readlink "$link") in
        "$root"/*) ;;
        *)
            [ "$tool" != etcdctl ] || refuse "$link is not a link of ours"
            continue
            ;;
        esac
    fi
    ln -sfn -- "$folder/$tool" "$links/.$tool.quorate"
    mv -T -f -- "$links/.$tool.quorate" "$link"
done

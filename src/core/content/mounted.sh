# shellcheck shell=dash disable=SC2034,SC2154
# mounted FOLDER DATA: whether FOLDER is on a file system that was mounted for it: at FOLDER, or above it and neither the
# root's nor one that holds DATA, etcd's own. Sets $mount to where that is mounted.
mounted() {
    # What an automounter stands for is mounted once it is looked into.
    mount_of=$(cd "$1" 2>/dev/null && pwd -P) || mount_of=$1
    mount=/ mount_kind=''
    # 36 35 98:0 / /mnt/backup rw,noatime master:1 - ext4 /dev/sdb1 rw; later lines are above earlier ones. Read at once: while a
    # shell reads line by line, others come and go, and it goes on in the middle of one.
    while read -r _ _ _ _ mount_point mount_rest; do
        case $mount_of/ in
        "${mount_point%/}/"*)
            if [ "${#mount_point}" -ge "${#mount}" ]; then
                mount=$mount_point mount_kind=${mount_rest#* - }
                mount_kind=${mount_kind%% *}
            fi
            ;;
        esac
    done <<EOF
$(cat /proc/self/mountinfo)
EOF
    [ "$mount_kind" != autofs ] || return 1
    [ "$mount" != "$mount_of" ] || return 0
    case $2/ in
    "${mount%/}/"*) return 1 ;;
    esac
}

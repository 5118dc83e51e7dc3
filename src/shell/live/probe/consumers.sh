# shellcheck shell=dash disable=SC2154
# The files of consumers, each with its owner and mode and what is in it, and what says that a reload is due.
#
#     file PATH MODE OWNER GROUP BASE64
#     key PATH MODE OWNER GROUP SHA256-OF-ITS-PUBLIC-POINT
#     due PATH
#     lacks folder|account|group NAME
look_consumers() {
    # shellcheck disable=SC2086 # a kind and a path, a kind and a path
    set -- $q_consumers
    while [ $# -ge 2 ]; do
        kind=$1 path=$2
        shift 2
        case $kind in
        account) is_none passwd "$path" && echo "lacks account $path" ;;
        group) is_none group "$path" && echo "lacks group $path" ;;
        file | key) [ -d "${path%/*}/" ] || echo "lacks folder ${path%/*}" ;;
        esac
        [ -f "$path" ] || continue
        case $kind in
        due) echo "due $path" ;;
        file) echo "file $path $(stat -L -c '%a %U %G' "$path") $(base64 -w 0 <"$path")" ;;
        key)
            point=$(sed /-----/d "$path" | base64 -d 2>/dev/null | tail -c 65 | sha256sum)
            echo "key $path $(stat -L -c '%a %U %G' "$path") ${point%% *}"
            ;;
        esac
    done
}

# is_none DATABASE NAME: nobody knows it. Where a name service gives no answer, getent ends in another way.
is_none() {
    getent "$1" "$2" >/dev/null
    [ $? = 2 ]
}

# shellcheck shell=dash disable=SC2034,SC2154
# What the scripts share that take a snapshot.

# save FOLDER ETCDCTL ENDPOINT CA CERTIFICATE_BYTES KEY_BYTES DATA COPIES MOUNT: leaves a snapshot that was checked in
# $staged/db, and the id of its cluster in $id. The certificate and the key come on stdin. There must be room for so many of
# it; and more where etcd's data lies on the same disk: it ends when that is full. Where MOUNT is "yes", the folder must be
# on a mount of its own.
save() {
    is_mounted "$1" "$7" "$9"
    mkdir -p -- "$1"
    chmod 700 "$1"
    # One place for all: what a run that was killed left there goes with the next one. /run is in memory, and root's alone.
    secret=/run/quorate-credentials
    rm -rf -- "$secret"
    mkdir -m 700 "$secret"
    stage "$secret/client.crt" "$5" 600 root root
    stage "$secret/client.key" "$6" 600 root root
    said=$(ctl "$2" "$3" "$4" -w fields --command-timeout=20s endpoint status) || refuse "etcdctl endpoint status: $said"
    size=$(echo "$said" | sed -n 's/^"DBSize" : //p')
    id=$(printf '%x' "$(echo "$said" | sed -n 's/^"ClusterID" : //p')")
    # Other hosts and clusters may use the folder, too.
    staged=$1/.snapshot-$(uname -n)-$id.quorate
    rm -rf -- "$staged"
    leftover=$staged
    mkdir -m 700 "$staged"
    needed=$((size * $8 / 1024))
    if [ "$(stat -L -c %d "$1")" = "$(stat -L -c %d "$7")" ]; then
        needed=$((needed + 262144))
    fi
    free=$(free_in "$1")
    [ "$free" -ge "$needed" ] || refuse "a snapshot needs $((needed / 1024)) MiB free in $1, and $((free / 1024)) are"
    said=$(ctl "$2" "$3" "$4" snapshot save "$staged/db") || refuse "etcdctl snapshot save: $said"
    # A snapshot ends in the SHA-256 of all before it, which is whole pages. Nothing else tells one that is cut short.
    size=$(stat -c %s "$staged/db")
    [ "$((size % 512))" = 32 ] || refuse "the snapshot is not whole: it has $size bytes, which is not a multiple of 512 and 32 more"
    sum=$(head -c "$((size - 32))" "$staged/db" | sha256sum)
    ends=$(tail -c 32 "$staged/db" | od -An -v -tx1 | tr -d ' \n')
    [ "${sum%% *}" = "$ends" ] || refuse "the snapshot is not whole: its SHA-256 is not the one that it ends in"
    chmod 600 "$staged/db"
    sync "$staged/db"
}

# is_mounted FOLDER DATA MOUNT: refuses where it must be and is not.
is_mounted() {
    [ "$3" != yes ] || mounted "$1" "$2" ||
        refuse "$1 is not mounted: it is on the file system of $mount, and [backup] says \`mount = true\`"
}

# is_ours PATH: whether what is known of a snapshot says that it is of the cluster $id.
is_ours() {
    line=
    { read -r line <"$1.json"; } 2>/dev/null || :
    case $line in
    *"\"cluster_id\":\"$id\""*) ;;
    *) return 1 ;;
    esac
}

# describe PATH MORE: keeps beside it of which cluster it is, MORE, and how large it is.
describe() {
    printf '{"cluster_id":"%s",%s"bytes":%d}\n' "$id" "$2" "$(stat -c %s "$1")" >"$staged/facts"
    chmod 600 "$staged/facts"
    mv -T -f -- "$staged/facts" "$1.json"
}

# ctl ETCDCTL ENDPOINT CA ARGUMENT…: what it says, with the credentials that came on stdin.
ctl() {
    program=$1 endpoint=$2 trust=$3
    shift 3
    ETCDCTL_API=3 "$program" --endpoints="$endpoint" --cacert="$trust" --cert="$secret/client.crt" \
        --key="$secret/client.key" "$@" 2>&1 </dev/null
}

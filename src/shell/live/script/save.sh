# shellcheck shell=dash disable=SC2034,SC2154
# What the scripts share that take a snapshot.

# save FOLDER ETCDCTL ENDPOINT CA CERTIFICATE_BYTES KEY_BYTES DATA COPIES: leaves a snapshot that was checked in $staged/db.
# The certificate and the key come on stdin. There must be room for so many of it; and more where etcd's data lies on the
# same disk: it ends when that is full.
save() {
    mkdir -p -- "$1"
    chmod 700 "$1"
    # One place for all: what a run that was killed left there goes with the next one. /run is in memory, and root's alone.
    secret=/run/quorate-credentials
    rm -rf -- "$secret"
    mkdir -m 700 "$secret"
    stage "$secret/client.crt" "$5" 600 root root
    stage "$secret/client.key" "$6" 600 root root
    staged=$1/.snapshot.quorate
    rm -rf -- "$staged"
    leftover=$staged
    mkdir -m 700 "$staged"
    said=$(ctl "$2" "$3" "$4" -w fields --command-timeout=20s endpoint status) || refuse "etcdctl endpoint status: $said"
    size=$(echo "$said" | sed -n 's/^"DBSize" : //p')
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

# ctl ETCDCTL ENDPOINT CA ARGUMENT…: what it says, with the credentials that came on stdin.
ctl() {
    program=$1 endpoint=$2 trust=$3
    shift 3
    ETCDCTL_API=3 "$program" --endpoints="$endpoint" --cacert="$trust" --cert="$secret/client.crt" \
        --key="$secret/client.key" "$@" 2>&1 </dev/null
}

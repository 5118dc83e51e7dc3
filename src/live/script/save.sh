# shellcheck shell=dash disable=SC2034,SC2154
# What the scripts share that take a snapshot.

# save FOLDER ETCDCTL ENDPOINT CA CERTIFICATE_BYTES KEY_BYTES: leaves a snapshot that was checked in $staged/db. The
# certificate and the key come on stdin.
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
    said=$(ETCDCTL_API=3 "$2" --endpoints="$3" --cacert="$4" --cert="$secret/client.crt" \
        --key="$secret/client.key" snapshot save "$staged/db" 2>&1 </dev/null) || refuse "etcdctl snapshot save: $said"
    # A snapshot ends in the SHA-256 of all before it, which is whole pages. Nothing else tells one that is cut short.
    size=$(stat -c %s "$staged/db")
    [ "$((size % 512))" = 32 ] || refuse "the snapshot is not whole: it has $size bytes, which is not a multiple of 512 and 32 more"
    sum=$(head -c "$((size - 32))" "$staged/db" | sha256sum)
    ends=$(tail -c 32 "$staged/db" | od -An -v -tx1 | tr -d ' \n')
    [ "${sum%% *}" = "$ends" ] || refuse "the snapshot is not whole: its SHA-256 is not the one that it ends in"
    chmod 600 "$staged/db"
    sync "$staged/db"
}

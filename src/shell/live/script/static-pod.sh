# shellcheck shell=dash disable=SC2034,SC2154
# What runs etcd is the kubelet, as long as $definition, the manifest of a static pod, is where it looks. $aside: where that
# waits while etcd is stopped; $data: etcd's data directory; $kubelet: its unit; $tools: where programs of the image are kept.
# The kubelet reads every file in the folder of its manifests, so nothing else is ever put there.

# Whom etcd's data is for, where no directory shows it.
owner_of_data() {
    echo 0 && echo 0
}

# tool_in FOLDER: what works on snapshots, of the image, in which it is in that folder. It is kept on the host, as it is needed when
# no pod runs; and taken from the running one, as long as there is one.
tool_in() {
    running=$(pod_etcd "$data")
    if [ -n "$running" ]; then
        keep_tool "/proc/$running/root$1"
    elif [ ! -x "$tools/etcdutl" ] && [ ! -x "$tools/etcdctl" ]; then
        # Only containerd shows an image that does not run.
        (umask 077 && mkdir -p -- "$tools/image")
        image=$(cat "$definition" "$aside" 2>/dev/null | sed -n 's/^[ -]*image: *["'\'']\{0,1\}\([^"'\'' ]*\).*/\1/p' | head -n 1)
        ctr -n k8s.io images mount "$image" "$tools/image" >/dev/null ||
            refuse "etcd runs in no pod here, and its image $image could not be looked into: start it once, or restore on this host by hand"
        keep_tool "$tools/image$1"
        ctr -n k8s.io images unmount --rm "$tools/image" >/dev/null || :
        rmdir -- "$tools/image" 2>/dev/null || :
    fi
    for one in etcdutl etcdctl; do
        [ ! -x "$tools/$one" ] || echo "$tools/$one"
    done | head -n 1
}

# keep_tool FOLDER
keep_tool() {
    (umask 077 && mkdir -p -- "$tools")
    for one in etcdutl etcdctl; do
        [ ! -e "$1/$one" ] || install -m 700 -- "$1/$one" "$tools/$one"
    done
}

forget_tools() {
    rm -f -- "$tools/etcdutl" "$tools/etcdctl"
    rmdir -- "$tools" 2>/dev/null || :
}

# Returns when etcd is dead, and does not start any more.
stop_for_good() {
    if [ -e "$definition" ]; then
        fit_to_move
        mv -T -f -- "$definition" "$aside"
        sync "$folder"
    fi
    until_ended || refuse "etcd does not end: \`journalctl -u $kubelet\` says what the kubelet does"
}

is_dead() {
    [ ! -e "$definition" ] && [ -z "$(pod_etcd "$data")" ]
}

# A manifest is moved by one rename, or not at all: the kubelet may read it at any moment.
fit_to_move() {
    [ ! -L "$definition" ] || refuse "$definition is a link: put the manifest itself there"
    folder=${definition%/*}
    [ -d "${aside%/*}" ] || mkdir -m 700 -- "${aside%/*}"
    [ "$(stat -c %d "$folder")" = "$(stat -c %d "${aside%/*}")" ] ||
        refuse "$folder and ${aside%/*} are on different file systems: no rename leads from one to the other"
}

kubelet_runs() {
    systemctl is-active --quiet -- "$kubelet" || refuse "$kubelet does not run, so nothing would start etcd again"
}

# A pod gets 30 seconds to end, and a kubelet whose API server is away takes as long before it begins.
until_ended() {
    looks=0
    while [ -n "$(pod_etcd "$data")" ]; do
        [ "$looks" -lt 600 ] || return 1
        looks=$((looks + 1))
        sleep 0.2
    done
}

# Whatever becomes of this script.
put_back() {
    if [ ! -e "$definition" ] && [ -e "$aside" ]; then
        mv -T -- "$aside" "$definition"
        sync "${definition%/*}"
    fi
}

# Stops etcd, and has the kubelet start it at once: by another change than a move it would take a quarter of a minute.
start_anew() {
    fit_to_move
    trap 'ended; put_back' EXIT
    was=$(pod_etcd "$data")
    mv -T -f -- "$definition" "$aside"
    until_ended || refuse "etcd does not end: \`journalctl -u $kubelet\` says what the kubelet does"
    # One that is between two attempts has no process: the kubelet sees in a moment that it has no manifest either.
    [ -n "$was" ] || sleep 2
    put_back
}

# The kubelet has yet to come to a manifest that was changed after etcd had started with it.
until_noticed() {
    was=$(pod_etcd "$data")
    [ -n "$was" ] && [ "$(stat -c %Z "$definition")" -gt "$(started_at "$was")" ] || return 0
    looks=0
    while [ -d "/proc/$was" ]; do
        [ "$looks" -lt 300 ] || return 0
        looks=$((looks + 1))
        sleep 0.2
    done
    exit 0
}

# shellcheck shell=dash disable=SC2034,SC2154
# Restores a snapshot into a scratch etcd on loopback, and tells what it holds. $1: the folder; $2: the snapshot's name there;
# $3: the folder of etcd and its tools; $4, $5 and $6: the bytes of ca.crt, the certificate and the key on stdin, which are
# this drill's alone.
folder=$1 snapshot=$1/$2 binaries=$3
[ -f "$snapshot" ] || refuse "there is no $snapshot"
for program in etcd etcdctl; do
    [ -x "$binaries/$program" ] || refuse "there is no $binaries/$program"
done
tool=$(tool_in "$binaries")
export ETCDCTL_API=3

# peers FILE: the peer URLs of its members, which are kept as JSON, whole in one place. An address of IPv6 has a ] of its own.
peers() {
    tr '\0' '\n' <"$1" | grep -a -o -E '"peerURLs":\[("[^"]*",?)*\]' | sort -u | head -n 1000 | sed 's/^/peers /' || :
}

# ends FILE: the end of what a program said. Whoever reads it finds the error in it, which is seldom the last line.
ends() {
    tail -n 60 "$1" | cut -c 1-2000
}

# When nobody listens any more this ends as it does otherwise, and etcd with it.
trap '' PIPE
# What a drill that was killed has left goes with the next one.
scratch=$folder/.drill.quorate
pkill -9 -f -- "--data-dir=$scratch/data" 2>/dev/null || :
rm -rf -- "$scratch"
leftover=$scratch
mkdir -m 700 "$scratch"
stage "$scratch/ca.crt" "$4" 600 root root
stage "$scratch/tls.crt" "$5" 600 root root
stage "$scratch/tls.key" "$6" 600 root root

# What nobody may rely on is told before anything is restored from it.
bytes=$({ unpack "$snapshot" 2>"$scratch/said" || : >"$scratch/cut"; } | wc -c)
if [ -e "$scratch/cut" ]; then
    echo "packed $(tr '\n' ' ' <"$scratch/said")"
    exit 0
fi
# The database twice, and etcd's log, which it allocates in advance. What etcd itself needs must not be taken from it.
free=$(free_in "$folder")
needed=$((bytes / 512 + 262144))
[ "$free" -gt "$needed" ] || refuse "a drill takes $((needed / 1024)) MiB in $folder, and $((free / 1024)) MiB are free"
unpack "$snapshot" >"$scratch/db"
sum=$(head -c "$((bytes > 32 ? bytes - 32 : 0))" "$scratch/db" | sha256sum)
echo "bytes $bytes"
echo "head $(head -c 65616 "$scratch/db" | od -An -v -tx1 | tr -d ' \n')"
echo "tail $(tail -c 32 "$scratch/db" | od -An -v -tx1 | tr -d ' \n')"
echo "sum ${sum%% *}"
[ "$(tail -c 32 "$scratch/db" | od -An -v -tx1 | tr -d ' \n')" = "${sum%% *}" ] || exit 0
if ! said=$("$tool" -w json snapshot status "$scratch/db" 2>"$scratch/said" </dev/null); then
    echo "refused ${tool##*/} snapshot status: $(ends "$scratch/said" | sed '2,$s/^/refused /')"
    exit 0
fi
echo "claim $said"
peers "$scratch/db"

# start: restores, and starts etcd on two ports that nobody has.
start() {
    client=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000)) && peer=$((client + 1))
    rm -rf -- "$scratch/data"
    only=drill=https://127.0.0.1:$peer
    said=$("$tool" snapshot restore "$scratch/db" --name=drill --initial-cluster="$only" \
        --initial-advertise-peer-urls="${only#*=}" --data-dir="$scratch/data" 2>&1 </dev/null) ||
        refuse "${tool##*/} snapshot restore: $said"
    endpoint=https://127.0.0.1:$client
    nice -n 19 "$binaries/etcd" --name=drill --data-dir="$scratch/data" --initial-cluster="$only" \
        --initial-advertise-peer-urls="${only#*=}" --listen-peer-urls="${only#*=}" \
        --listen-client-urls="$endpoint" --advertise-client-urls="$endpoint" \
        --cert-file="$scratch/tls.crt" --key-file="$scratch/tls.key" --trusted-ca-file="$scratch/ca.crt" \
        --peer-cert-file="$scratch/tls.crt" --peer-key-file="$scratch/tls.key" \
        --peer-trusted-ca-file="$scratch/ca.crt" --client-cert-auth --peer-client-cert-auth \
        >"$scratch/log" 2>&1 </dev/null 8>&- &
    child=$!
}

ctl() {
    "$binaries/etcdctl" --endpoints="$endpoint" --cacert="$scratch/ca.crt" --cert="$scratch/tls.crt" \
        --key="$scratch/tls.key" --command-timeout="${patience}s" "$@" </dev/null
}

# A large database takes its time, at a MiB a second.
patience=$((120 + bytes / 1048576))
start
begun=$(date +%s) starts=1
until ctl --command-timeout=2s endpoint health >/dev/null 2>&1; do
    if ! kill -0 "$child" 2>/dev/null; then
        # The ports were somebody's after all.
        if [ "$starts" = 5 ] || ! grep -q 'address already in use' "$scratch/log"; then
            refuse "etcd does not serve what was restored: $(ends "$scratch/log")"
        fi
        starts=$((starts + 1))
        start
    fi
    [ "$(($(date +%s) - begun))" -lt "$patience" ] || refuse "etcd does not serve what was restored: $(ends "$scratch/log")"
    sleep 0.2
done
echo "hash $(ctl -w json endpoint hashkv)"
# 3.4 has no --count-only. The count is of all of them.
echo "keys $(ctl -w fields get '' --prefix --keys-only --limit=1 | sed -n 's/^"Count" : //p')"

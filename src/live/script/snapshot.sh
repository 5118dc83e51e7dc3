# shellcheck shell=dash disable=SC2034,SC2154
# Saves a snapshot of the member on this host. $1: the folder; $2: the version that comes next; $3: etcdctl; $4: the
# endpoint; $5: ca.crt; $6 and $7: the bytes of the certificate and key on stdin.
folder=$1 before=$2 etcdctl=$3 endpoint=$4 trust=$5 certificate_bytes=$6 key_bytes=$7
mkdir -p -- "$folder"
chmod 700 "$folder"
# One place for all: what a run that was killed left there goes with the next one. /run is in memory, and root's alone.
secret=/run/quorate-credentials
rm -rf -- "$secret"
mkdir -m 700 "$secret"
stage "$secret/client.crt" "$certificate_bytes" 600 root root
stage "$secret/client.key" "$key_bytes" 600 root root
staged=$folder/.snapshot.quorate
rm -rf -- "$staged"
leftover=$staged
mkdir -m 700 "$staged"
said=$(ETCDCTL_API=3 "$etcdctl" --endpoints="$endpoint" --cacert="$trust" --cert="$secret/client.crt" \
    --key="$secret/client.key" snapshot save "$staged/db" 2>&1 </dev/null) || refuse "etcdctl snapshot save: $said"
# A snapshot ends in the SHA-256 of all before it, which is whole pages. Nothing else tells one that is cut short.
size=$(stat -c %s "$staged/db")
[ "$((size % 512))" = 32 ] || refuse "the snapshot is not whole: it has $size bytes, which is not a multiple of 512 and 32 more"
sum=$(head -c "$((size - 32))" "$staged/db" | sha256sum)
ends=$(tail -c 32 "$staged/db" | od -An -v -tx1 | tr -d ' \n')
[ "${sum%% *}" = "$ends" ] || refuse "the snapshot is not whole: its SHA-256 is not the one that it ends in"
chmod 600 "$staged/db"
sync "$staged/db"
# Not over another one: two of one second would be of the same state.
mv -T -f -- "$staged/db" "$folder/before-$before-$(date +%Y%m%d-%H%M%S).db"
sync "$folder"

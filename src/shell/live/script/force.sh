# shellcheck shell=dash disable=SC2034,SC2154
# Makes a cluster of this member alone: etcd is run once with force-new-cluster, from a copy of etcd.yaml that is gone
# afterwards. $1: our unit; $2: etcd; $3: etcd.yaml; $4: the data directory; $5: the account.
unit=$1 etcd=$2 config=$3 data=$4 account=$5
once=quorate-force-new-cluster.service
copy=/run/quorate-force-new-cluster.yaml
# Without a log etcd would make an empty cluster instead.
set -- "$data"/member/wal/*.wal
[ -f "$1" ] || refuse "$data holds no member with a log"
[ -x "$etcd" ] || refuse "there is no $etcd"
systemctl cat -- "$unit" >/dev/null 2>&1 || refuse "there is no $unit to go on with"
# What a run that was killed has left.
systemctl stop -- "$once" 2>/dev/null || :
systemctl reset-failed -- "$once" 2>/dev/null || :
systemctl stop -- "$unit"

# What is there is kept as it is: whoever finds out later that more was lost than thought still has it.
stamp=$(date +%Y%m%d-%H%M%S)
kept=$data.before-force-$stamp
beside=${data%/*}/
if [ -L "$data" ] || mountpoint -q -- "$data"; then
    kept=$data/before-force-$stamp
    beside=$data/
fi
needed=$(du -s -k -- "$data/member")
needed=${needed%%[!0-9]*}
free=$(free_in "$beside")
# Some room must be left for etcd itself, which allocates 64 MB for each part of its log.
[ "$free" -gt "$((needed + 131072))" ] || refuse "a copy of $data/member takes $((needed / 1024)) MiB, and of the" \
    "$((free / 1024)) MiB that are free in $beside 128 must be left: make room first"
rm -rf -- "$beside".before-force.quorate
leftover=${beside}.before-force.quorate
mkdir -m 700 "$leftover"
cp -a --reflink=auto -- "$data/member" "$leftover/member"
sync -f "$leftover"
mv -T -- "$leftover" "$kept"

leftover=$copy
grep -v '^force-new-cluster:' "$config" >"$copy"
printf '\nforce-new-cluster: true\n' >>"$copy"
chown root:"$account" "$copy"
chmod 640 "$copy"
# It ends by itself, also when nobody is left to stop it.
systemd-run --quiet --unit="$once" --service-type=notify --property=TimeoutStartSec=600 --property=RuntimeMaxSec=60 \
    --property=LimitNOFILE=65536 --uid="$account" --gid="$account" "$etcd" --config-file="$copy" ||
    refuse "etcd did not come up alone: $(journalctl --no-pager --output cat --lines 60 -u "$once")"
systemctl stop -- "$once"
systemctl reset-failed -- "$once" 2>/dev/null || :
systemctl enable --quiet -- "$unit"
systemctl reset-failed -- "$unit" 2>/dev/null || :
systemctl --no-block start -- "$unit"

# shellcheck shell=dash
# Runs etcdctl for somebody who reads what it prints, behind attended.sh. $1: the folder of its binaries; $2: where there
# are links to those of some version; $3: the line for the log; $4: whether its pair comes on stdin, or lies here; then of
# ca.crt, the certificate and the key the bytes, or the paths; $8: how many bytes of stdin are its own; $9: whether its stderr
# comes at once, among what it prints, or at the end; then its words.
set -u
binaries=$1 tools=$2 audit=$3 pair=$4 trust=$5 certificate=$6 key=$7 input=$8 complaints=$9
shift 9
tool=
for folder in "$binaries" "$tools"; do
    [ -n "$tool" ] || [ ! -x "$folder/etcdctl" ] || tool=$folder/etcdctl
done
[ -n "$tool" ] || tool=$(command -v etcdctl) || tool=''
# The image of a static pod has its own, and the kernel shows the files of a process to root.
# shellcheck disable=SC2013 # no blank is in these paths
[ -n "$tool" ] || for process in $(grep -l -x -s etcd /proc/[0-9]*/comm); do
    [ ! -x "${process%comm}root/usr/local/bin/etcdctl" ] || tool=${process%comm}root/usr/local/bin/etcdctl
done
[ -n "$tool" ] || {
    echo "there is no etcdctl on this host: not in $binaries, not in $tools, not in the image of an etcd that runs" >&2
    exit 127
}
umask 077
given=$(mktemp -d /run/quorate.etcdctl.XXXXXXXXXX) || exit 1
trap 'rm -rf -- "$given"' EXIT
trap 'exit 143' HUP INT TERM
# take BYTES NAME: the next of them from stdin.
take() {
    head -c "$1" <&3 >"$given/$2"
    [ "$(stat -c %s "$given/$2")" = "$1" ] || {
        echo "only a part of what etcdctl is to read arrived" >&2
        exit 1
    }
}
if [ "$pair" = given ]; then
    take "$trust" ca.crt
    take "$certificate" client.crt
    take "$key" client.key
    trust=$given/ca.crt certificate=$given/client.crt key=$given/client.key
fi
take "$input" stdin
logger -t quorate -- "$audit" || :
# Not as variables: etcdctl refuses one beside a flag that says the same.
ETCDCTL_API=3
export ETCDCTL_API
[ "$complaints" = at-the-end ] || exec 2>&1
attended "$tool" --cacert="$trust" --cert="$certificate" --key="$key" "$@" 4<"$given/stdin"

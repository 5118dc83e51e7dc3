#!/usr/bin/env bash
# From nothing to a healthy etcd cluster on three real hosts of its own, on one Debian machine, as root.
#
# Installs what is missing, builds quorate, boots the lab (three Debian hosts with their own systemd and sshd), and does
# the main job there: init, validate, plan, apply, and plan again: no changes. The lab goes when the script ends;
# KEEP=1 leaves it running.
set -euo pipefail
cd "$(dirname "$0")/.."

if ((EUID != 0)); then
    echo "quickstart: the lab makes network namespaces and mounts, so run this as root" >&2
    exit 1
fi

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
run() { printf '\n$ %s\n' "$*"; "$@"; }

say "Installing what is missing"
. tests/setup.sh

# cargo names each crate as it compiles it; on a terminal it also shows how many are left.
say "Building quorate and the lab: some 430 crates, which takes minutes the first time"
cargo build --profile quickstart --locked --bin quorate --example lab
target=${CARGO_TARGET_DIR:-$PWD/target}/quickstart
quorate=$target/quorate
lab=$target/examples/lab

say "An etcd release, packed like the official archive"
"$lab" archive 3.5
archive=$("$lab" archive 3.5 | sed -n 's/^path = //p')

say "Booting three bare hosts"
up=$("$lab" up 3 --etcd-free)
echo "$up"
id=$(sed -n 's/^lab //p' <<<"$up")
value() { sed -n "s/^ *$1 *//p" <<<"$up"; }
work=$(mktemp -d)
if [[ -z ${KEEP:-} ]]; then
    trap '"$lab" --lab "$id" down; rm -rf "$work"' EXIT
else
    echo "KEEP is set: lab $id stays up, and $work stays"
fi
cd "$work"

say "A declaration"
mapfile -t nodes < <(sed -n 's/^  \([^ ]*\)  \([0-9.]*\)  on$/\1=\2/p' <<<"$up")
run "$quorate" init "${nodes[@]}" --name quickstart --archive "$archive"
# The lab's ssh client key, and its hosts' keys.
sed -i "s|^\\[ssh\\]\$|[ssh]\nconfig = \"$(value ssh_config)\"\nknown-hosts = \"$(value known_hosts)\"|" cluster.toml
run "$quorate" validate

say "What would be done: nothing is touched"
code=0
run "$quorate" plan --detailed-exitcode || code=$?
[[ $code == 2 ]] || { echo "quickstart: plan should exit 2 here, not $code" >&2; exit 1; }

say "Doing it"
run "$quorate" apply --yes

say "Again: no changes"
run "$quorate" plan --detailed-exitcode
run "$quorate" status

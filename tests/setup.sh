#!/usr/bin/env bash
# Installs what the build and the lab need and this machine lacks. Debian, as root; without root it only says what is missing.
#
# The build: a C compiler, OpenSSL's headers (libssh2), protoc with its include files (etcd's API).
# The lab: mmdebstrap makes the hosts' image, systemd-nspawn boots it, iproute2 and nftables make its network; go builds
# what nobody else has built.
set -euo pipefail

packages=(
    build-essential pkg-config libssl-dev protobuf-compiler libprotobuf-dev
    openssh-client openssh-server openssl ca-certificates curl jq
    mmdebstrap systemd-container nftables iproute2 procps debian-archive-keyring
    shellcheck dash busybox zstd age python3-pip python3-venv
)

# Not beside one that did not come from Debian.
command -v go >/dev/null || packages+=(golang-go)

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done

if ((${#missing[@]} > 0)); then
    if ((EUID != 0)); then
        echo "setup: not root, so these packages stay missing: ${missing[*]}" >&2
    else
        echo "setup: installing ${missing[*]}" >&2
        apt-get update -qq
        # policy-rc.d: the sshd of the tests is started by the tests, not by its package.
        policy=/usr/sbin/policy-rc.d
        made_policy=
        if [[ ! -e $policy ]]; then
            printf '#!/bin/sh\nexit 101\n' >"$policy"
            chmod 755 "$policy"
            made_policy=yes
        fi
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
        [[ -z $made_policy ]] || rm -f "$policy"
    fi
fi

if ! command -v cargo >/dev/null; then
    if [[ -x $HOME/.cargo/bin/cargo ]]; then
        echo "setup: cargo is in \$HOME/.cargo/bin: add it to PATH" >&2
    else
        echo "setup: cargo is missing; Rust 1.89 or newer is needed (https://rustup.rs)" >&2
    fi
    exit 1
fi

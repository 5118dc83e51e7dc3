#!/usr/bin/env bash
# Every test. As root on Debian it installs what is missing and runs the lab's tests too; without root it runs what needs
# none, and says what it skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

. tests/setup.sh
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

step() { printf '\n== %s\n' "$*"; }

step "format and lints"
cargo fmt --check
cargo clippy --locked --all-targets --quiet -- -D warnings
shellcheck examples/*.sh tests/*.sh .ci/run $(git ls-files "src/*.sh")

step "build"
cargo build --locked --quiet --all-targets

if ((EUID == 0)); then
    step "lab: image and etcd versions"
    # Made once and kept outside the repository; a version that cannot be had is named here and skipped by name later.
    cargo run --locked --quiet --example lab -- prepare
    # Two cores: more labs at once would only make each slower.
    export RUST_TEST_THREADS=${RUST_TEST_THREADS:-2}
else
    step "without root: the tests on real hosts (tests/cluster, tests/lab_*) say that they are skipped"
fi

step "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --locked --no-fail-fast -- --show-output --skip backup_policy:: >"$log" 2>&1 || status=$?
# These wait for the next minute of a schedule, nearly all of their time.
cargo test --locked --test cluster -- --show-output --test-threads=4 backup_policy:: >>"$log" 2>&1 || status=$?
# What the tests printed is shown only where one failed; what was run, and how it ended, always.
if ((status == 0)); then
    grep -E '^( *Running |test |test result:|     Doc-tests )' "$log"
else
    cat "$log"
fi

if grep -q '^skipped: ' "$log"; then
    step "skipped"
    grep '^skipped: ' "$log" | sort -u
fi
exit "$status"

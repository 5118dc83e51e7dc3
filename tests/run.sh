#!/usr/bin/env bash
# Every test. As root on Debian it installs what is missing and runs the lab's tests too; without root it runs what needs
# none, and says what it skipped.
#
#   tests/run.sh          what exists once for each series of etcd runs on 3.5 and on one other, which a seed draws;
#                         of what takes minutes, each family of tests runs on one of these two, by the same seed
#   tests/run.sh --all    on every series
#
# QUORATE_SEED=N draws the same again, with the oddities of the lab's hosts (tests/lab/oddities.rs), for which QUORATE_ODDITIES=N
# gives another seed, and 0 none. Tests on hosts and the laws run beside each other: the ones wait most of their time,
# and the others fill it. How many hosts run at once is counted by the lab (tests/lab/places.rs).
set -euo pipefail
cd "$(dirname "$0")/.."

all=
case "${1-}" in
'') ;;
--all) all=yes ;;
*)
    echo "usage: tests/run.sh [--all]" >&2
    exit 64
    ;;
esac

. tests/setup.sh
export CARGO_TERM_COLOR=never RUST_BACKTRACE=0

logs=$(mktemp -d)
# Names of groups in the order in which they began, and the processes of those in the background.
groups=()
pids=()
trap 'kill -- "${pids[@]/#/-}" 2>/dev/null || :; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

step() { printf '\n== %s\n' "$*"; }
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Runs a group, its name first and then the command, and keeps what it printed, how it ended and how long it took.
group() {
    local name=$1 begun=$SECONDS status=0
    shift
    "$@" >"$logs/$name.log" 2>&1 || status=$?
    echo "$status $begun $((SECONDS - begun))" >"$logs/$name.end"
    if ((status == 0)); then
        printf '%s: passed after %s\n' "$name" "$(clock $((SECONDS - begun)))"
    else
        printf '%s: FAILED after %s\n' "$name" "$(clock $((SECONDS - begun)))"
    fi
}
# In the foreground, and beside the rest: there in a process group of its own, so that it ends as a whole.
wait_for() {
    groups+=("$1")
    group "$@"
}
begin() {
    groups+=("$1")
    set -m
    group "$@" </dev/null &
    set +m
    pids+=($!)
}
failed() { [[ $(cut -d ' ' -f 1 "$logs/$1.end") != 0 ]]; }

series=(3.5)
# Never 0, which draws no oddities.
seed=${QUORATE_SEED:-$((RANDOM + 1))}
if [[ -n $all ]]; then
    unset QUORATE_SERIES
    step "series: all"
elif [[ -n ${QUORATE_SERIES-} ]]; then
    step "series: $QUORATE_SERIES, as asked for"
else
    others=(3.4 3.6 3.7)
    series+=("${others[seed % ${#others[@]}]}")
    export QUORATE_SERIES="${series[*]}" QUORATE_TURN=$seed
    step "series: ${series[0]}, and ${series[1]} by QUORATE_SEED=$seed; --all takes every one"
fi
export QUORATE_ODDITIES=${QUORATE_ODDITIES:-$seed}
step "hosts: odd by QUORATE_ODDITIES=$QUORATE_ODDITIES"
# The walks have seeds of their own, which do not change from run to run.
unset QUORATE_SEED

step "format, lints and build"
mapfile -t scripts < <(git ls-files 'src/*.sh')
test=(cargo test --locked)
# The laws compute, so they are optimised, and this crate alone: that takes some minutes of a processor to compile, and
# saves more. Built once, so nothing is kept for a next build, nor for a debugger.
optimised=(--config 'profile.dev.package.quorate.opt-level=1' --config 'profile.dev.package.quorate.debug=false'
    --config 'profile.dev.package.quorate.codegen-units=8' --config 'profile.dev.incremental=false')
wait_for format cargo fmt --check
wait_for clippy cargo clippy --locked --all-targets --quiet -- -D warnings
wait_for shellcheck shellcheck examples/*.sh tests/*.sh tests/lab/kubelet/*.sh .ci/run "${scripts[@]}"
wait_for build cargo build --locked --quiet --bins --examples --test offline --test local --test hosts
for name in "${groups[@]}"; do
    if failed "$name"; then
        cat "$logs/$name.log"
        exit 1
    fi
done
# The path of a test's program. It is run without cargo, because a cargo that compiles keeps every other one waiting.
program() {
    "${test[@]}" --no-run --message-format=json --quiet "$@" |
        sed -n '/"profile":{[^}]*"test":true/s/.*"executable":"\([^"]*\)".*/\1/p'
}
hosts=$(program --test hosts)
offline=$(program --test offline)
machine=$(program --test local)

if ((EUID == 0)); then
    # Made once and kept outside the repository; a version that cannot be had is named here and skipped by name later.
    wait_for lab-image cargo run --locked --quiet --example lab -- prepare
    cat "$logs/lab-image.log"
    if failed lab-image; then exit 1; fi
else
    step "without root: the tests on real hosts (tests/hosts) say that they are skipped"
fi

step "tests"
# They wait for the next minute of a schedule, nearly all of their time, so all of them at once and before the rest.
begin backup-policy "$hosts" --show-output --test-threads=9 cluster::backup_policy::
# The next ones wait, too, so this begins beside them.
begin laws-build nice -n 19 "${test[@]}" --no-run "${optimised[@]}" --lib
begin cluster "$hosts" --show-output --test-threads=6 cluster:: --skip backup_policy::
begin walk "$hosts" --show-output --test-threads=2 walk::
begin live "$hosts" --show-output --test-threads=2 live:: lab_selftest::
wait_for offline nice -n -10 "$offline" --show-output
# sshd, etcd and a stand-in for Vault as processes of this machine; some count milliseconds, so before all else where that
# may be asked for.
wait_for local nice -n -10 "$machine" --show-output --test-threads=2
until [[ -e $logs/laws-build.end ]]; do sleep 0.2; done
units=$(program "${optimised[@]}" --lib)
wait_for unit "$units" --show-output --skip laws::
wait_for doc "${test[@]}" --doc
begin laws nice -n 19 "$units" --show-output laws::
wait

# What the tests printed is shown only where one failed; what was run, and how it ended, always.
status=0
for name in "${groups[@]}"; do
    [[ $name != lab-image ]] || continue
    if failed "$name"; then
        status=1
        step "$name failed"
        cat "$logs/$name.log"
    else
        grep -E '^( *Running |test |test result:|     Doc-tests )' "$logs/$name.log" || :
    fi
done

told() {
    local lines
    lines=$(cat "$logs"/*.log | grep "^$1: " | sort -u) || return 0
    step "$1"
    printf '%s\n' "$lines"
}
told skipped
told 'not drawn'

step "where the time went (groups run beside each other)"
printf '%6s %6s  %s\n' began took group
for name in "${groups[@]}"; do
    read -r code begun took <"$logs/$name.end"
    passed=$(sed -n 's/^test result: .* \([0-9]*\) passed;.*/\1/p' "$logs/$name.log" | paste -sd + - | sed 's/^$/0/')
    count=$((passed))
    words=$name
    ((count == 0)) || words="$words, $count tests passed"
    ((code == 0)) || words="$words, FAILED"
    printf '%6s %6s  %s\n' "$(clock "$begun")" "$(clock "$took")" "$words"
done
printf '%6s %6s  %s\n' '' "$(clock "$SECONDS")" "all, on ${QUORATE_SERIES:-every series of} etcd"

# Once more and last, because what is between is long: where each test that failed gave up, or how the group ended.
for name in "${groups[@]}"; do
    failed "$name" || continue
    step "what failed: $name"
    awk '/^failures:$/ { failures = 1 }
         failures && /^---- .* stdout ----$/ { test = $2; left = 0 }
         failures && test && /panicked at/ { print test; left = 16 }
         left-- > 0
         { last[NR % 16] = $0 }
         END { if (!test) for (line = NR - 15; line <= NR; line++) if (line > 0) print last[line % 16] }' "$logs/$name.log"
done
exit "$status"

#!/usr/bin/env bash
# Everything that is checked, from format to a browser that places a call. `make test` runs this.
#
#   tests/run.sh                 all of it
#   tests/run.sh e2e [FILTER]    only the end-to-end tests whose name holds FILTER
#   tests/run.sh crash [FILTER]  only the tests that kill and freeze; VOXFLOW_CRASH=full: full size
#
# Needs Rust; installs by apt what else is missing (as root, or by sudo), only when it is missing.
# Starts its own RabbitMQ and PostgreSQL on free ports of 127.0.0.1 and ends them.
# The last line is `N passed, N failed`; the exit code is 0 only when nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/services.sh

only=${1:-all}
filter=${2:-}
case $only in all | e2e | crash) ;; *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac

venv=$PWD/target/test-venv
logs=$PWD/target/test-logs
mkdir -p "$logs"
passed=0
failed=0
# A failed test tells its place; the frames below it are noise here.
export RUST_BACKTRACE=0
started=$SECONDS

say() { printf '%4ds  %s\n' $((SECONDS - started)) "$*"; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/voxflow-test.XXXXXX")
finish() {
    status=$?
    trap - EXIT
    stop_services
    rm -rf "$scratch"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM
# What is killed in a test cannot clean up behind itself: programs of others neither.
export TMPDIR=$scratch/tmp PULSE_RUNTIME_PATH=$scratch/tmp/pulse
mkdir -m 1777 "$TMPDIR"

# ---------------------------------------------------------------- what must be installed
missing() {
    command -v gcc >/dev/null || echo gcc libc6-dev
    command -v git >/dev/null || echo git
    command -v curl >/dev/null || echo curl
    command -v openssl >/dev/null || echo openssl
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    for package in chromium baresip linphone-cli sip-tester espeak-ng pocketsphinx pocketsphinx-en-us postgresql rabbitmq-server; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install() {
    local sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    # Packages start their services; ours are private, so for the time of the installation none may.
    local policy=/usr/sbin/policy-rc.d ours=
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy && ours=1
    fi
    local status=0
    { $sudo apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        >"$logs/apt.log" 2>&1 || status=$?
    [ -z "$ours" ] || $sudo rm -f $policy
    [ $status = 0 ] || tail -n 20 "$logs/apt.log" >&2
    return $status
}

wanted=$(missing | tr '\n' ' ')
if [ -n "$wanted" ]; then
    say "install $wanted"
    # shellcheck disable=SC2086
    install $wanted
    say "installed"
fi

make_venv() {
    local stamp
    stamp=$(cat tests/requirements.txt <(python3 --version) | sha256sum)
    [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ] || return 0
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-compile -r tests/requirements.txt
    echo "$stamp" >"$venv/stamp"
}

# The editor's library, by the committed list; a second time nothing is asked of a network.
make_editor() {
    local stamp
    stamp=$(cat tests/editor/package-lock.json <(node --version) | sha256sum)
    [ "$(cat tests/editor/node_modules/stamp 2>/dev/null)" != "$stamp" ] || return 0
    npm ci --prefix tests/editor --no-audit --no-fund --no-update-notifier
    echo "$stamp" >tests/editor/node_modules/stamp
}

# What comes from networks and the servers come up while the compiler works.
make_venv >"$logs/venv.log" 2>&1 &
venv_making=$!
make_editor >"$logs/npm.log" 2>&1 &
editor_making=$!
start_services "$scratch"

# ---------------------------------------------------------------- checks
# check NAME COMMAND...: a check of its own; a red one shows its output and counts as one failure.
check() {
    local name=$1 began=$SECONDS
    shift
    if "$@" >"$logs/$name.log" 2>&1; then
        say "$name: fine ($((SECONDS - began)) s)"
    else
        failed=$((failed + 1))
        say "$name: FAILED ($((SECONDS - began)) s)"
        tail -n 60 "$logs/$name.log"
    fi
}

# count NAME COMMAND...: cargo test or node's tests, whose results are added up. A run that fails without a failed
# test (it does not compile, it crashed) counts as one failure.
count() {
    local name=$1 began=$SECONDS status=0 p f
    shift
    "$@" >"$logs/$name.log" 2>&1 || status=$?
    read -r p f <<<"$(awk '/^test result:/ { p += $4; f += $6 } /^# pass / { p += $3 } /^# fail / { f += $3 } END { print p + 0, f + 0 }' "$logs/$name.log")"
    [ $status = 0 ] || [ "$f" != 0 ] || f=1
    passed=$((passed + p))
    failed=$((failed + f))
    say "$name: $p passed, $f failed ($((SECONDS - began)) s)"
    if [ "$f" != 0 ]; then
        grep -E '^(error|warning: unused|test .* FAILED|not ok )|panicked at|signal:' "$logs/$name.log" | head -n 40 || true
        awk '/^---- .* ----$/ { on = 1 } /^failures:$/ { if (seen++ % 2) on = 0 } on' "$logs/$name.log" |
            head -n 400 || true
        echo "all of it: $logs/$name.log"
    fi
}

if [ "$only" = all ]; then
    check format cargo fmt --check
    # The end-to-end tests are no part of --all-targets, since plain `cargo test` leaves them out.
    check clippy cargo clippy --quiet --workspace --all-targets -- -D warnings
    check clippy-e2e cargo clippy --quiet --package tests --test e2e --test crash -- -D warnings
    check build cargo build --quiet --workspace --bins --tests
else
    check build cargo build --quiet --workspace --bins
fi

wait "$editor_making" || { cat "$logs/npm.log" >&2; exit 1; }
wait "$venv_making" || { cat "$logs/venv.log" >&2; exit 1; }
await_services
export VOXFLOW_TEST_VENV=$venv
export VOXFLOW_TEST_SCREENSHOT=$logs/console.png
# Most tests wait for sound that lasts as long as it lasts: more of them at once than cores.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

if [ "$only" = all ]; then
    count tests cargo test --quiet --workspace --no-fail-fast
    count editor node --test --test-reporter=tap tests/editor/schema.test.mjs
fi
[ "$only" = crash ] || count e2e cargo test --workspace --test e2e --no-fail-fast -- $filter
# One after the other: each has servers of its own to break, and wants the machine for itself.
if [ "$only" != e2e ]; then
    count crash cargo test --workspace --test crash --no-fail-fast -- --test-threads=1 --nocapture $filter
    # What they counted.
    grep -E '^(storm|file): ' "$logs/crash.log" || true
fi

say "done"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]

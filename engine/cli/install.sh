#!/bin/sh
# Installs what the demo needs and this machine lacks: a C compiler for the build, a voice and a
# recognizer for calls without keys, curl for the line that it prints. Says what it does; asks nothing of the network when all is there.
set -eu

missing=""
command -v cc >/dev/null 2>&1 || missing="gcc libc6-dev"
command -v curl >/dev/null 2>&1 || missing="$missing curl"
if command -v dpkg-query >/dev/null 2>&1; then
    for package in espeak-ng pocketsphinx pocketsphinx-en-us; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || state=""
        [ "$state" = installed ] || missing="$missing $package"
    done
else
    for program in espeak-ng pocketsphinx_continuous; do
        command -v "$program" >/dev/null 2>&1 || missing="$missing $program"
    done
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing: $missing. This machine has no apt-get: install them by its own means." >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    if ! command -v sudo >/dev/null 2>&1; then
        echo "missing: $missing. As root: apt-get install $missing" >&2
        exit 1
    fi
fi
echo "installing: $missing"
# shellcheck disable=SC2086 # a list, meant to be split
install() { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; }
# The lists of a fresh machine may be empty or old.
$as_root apt-get update -qq || true
install

#!/bin/sh
# Builds and runs the benchmark of a restore (about five minutes): sh tests/bench/restore.sh [--megabytes N] [--rounds N]
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_restore -j "$(nproc)"
exec build/release/tests/bench/bench_restore "$@"

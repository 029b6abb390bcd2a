#!/bin/sh
# Builds and runs the benchmark of the pause (about fifteen minutes): sh tests/bench/pause.sh [--queues N...] [--rounds N]
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_pause -j "$(nproc)"
exec build/release/tests/bench/bench_pause "$@"

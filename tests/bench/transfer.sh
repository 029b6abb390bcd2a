#!/bin/sh
# Builds and runs the benchmark of transfers into a live broker (about six minutes): sh tests/bench/transfer.sh [--messages N] [--rounds N]
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_transfer -j "$(nproc)"
exec build/release/tests/bench/bench_transfer "$@"

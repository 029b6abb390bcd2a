#!/bin/sh
# Builds and runs the benchmark of pauses of a cluster (about two minutes): sh tests/bench/cluster.sh [--nodes N...] [--rounds N]
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_cluster -j "$(nproc)"
exec build/release/tests/bench/bench_cluster "$@"

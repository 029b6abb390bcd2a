#!/bin/sh
# Builds and runs the benchmark of pauses of a cluster (about seven minutes, as root): sh tests/bench/cluster.sh [--nodes N...]
# [--delay MS...] [--rounds N], where a delay is the round trip between two nodes and 0 is none.
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_cluster -j "$(nproc)"
exec build/release/tests/bench/bench_cluster "$@"

#!/bin/sh
# Builds and runs the benchmark of changes of metadata beside a backup (about two minutes): sh tests/bench/changes.sh [--queues N] [--bindings N] [--rounds N] [--khepri]
# In the root of another RabbitMQ: see docs/benchmarks.md.
set -eu
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.."
sh tests/packages.sh
cmake --preset release > /dev/null
cmake --build --preset release --target bench_changes -j "$(nproc)"
exec build/release/tests/bench/bench_changes "$@"

#!/bin/sh
# Installs what is needed, builds and runs every test: the unit tests with AddressSanitizer and UndefinedBehaviorSanitizer first,
# then everything as it ships, on real brokers in temporary directories. Ends with ctest's summary; the exit code says the rest.
set -eu

usage() {
    cat << 'END'
usage: sh tests/run.sh [--fast | --soak | --matrix] [-R REGEX]

  --fast     only the unit tests, with sanitizers
  --soak     the tests of exactness with ten times the rounds, for an hour or so
  --matrix   instead: what needs a broker on RabbitMQ 3.8.9, 4.0.5 and 4.3.6, each in a system of its own
  -R REGEX   only tests whose names match
END
}

fast=no
matrix=no
filter=
while [ $# -gt 0 ]; do
    case $1 in
        --fast) fast=yes ;;
        --soak) export HOT_BACKUP_SOAK=1 ;;
        --matrix) matrix=yes ;;
        -R) [ $# -ge 2 ] || { usage >&2; exit 2; }
            filter=$2
            shift ;;
        -h | --help) usage; exit 0 ;;
        *) echo "run.sh: unknown option: $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

# A fresh Debian has no locale; names in tests have non-ASCII letters.
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."
jobs=$(nproc)
if [ "$matrix" = yes ]; then
    sh tests/packages.sh debootstrap
    cmake --preset release
    cmake --build --preset release -j "$jobs"
    exec sh tests/matrix/run.sh ${filter:+-R "$filter"}
fi
sh tests/packages.sh

# run_tests PRESET NO_TESTS [ctest option...]
run_tests() {
    preset=$1 no_tests=$2
    shift 2
    [ -z "$filter" ] || set -- "$@" -R "$filter"
    ctest --test-dir "build/$preset" --output-on-failure --no-tests="$no_tests" -j "$jobs" "$@"
}

cmake --preset debug
cmake --build --preset debug --target unit_tests -j "$jobs"
if [ "$fast" = yes ]; then
    run_tests debug error -L unit
    exit
fi
# A filter may well name a test that is no unit test.
run_tests debug "$([ -n "$filter" ] && echo ignore || echo error)" -L unit

cmake --preset release
cmake --build --preset release -j "$jobs"
run_tests release error

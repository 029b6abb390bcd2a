#!/bin/sh
# Runs the suites that need a broker on each RabbitMQ that Debian carries, beside the one that is installed here:
#
#   sh tests/matrix/run.sh [-R REGEX] [RELEASE...]
#
# The program and the tests are those of build/release; the plugin is compiled by each release's own Erlang. As root, which may make
# roots (root.sh) and enter them (in_root.sh).
set -eu

filter=.
while getopts R: option; do
    case $option in
        R) filter=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
# 3.8.9, 4.0.5, 4.3.6. Debian bookworm has 3.10.8, which tests/run.sh installs.
[ $# -gt 0 ] || set -- bullseye trixie forky

project=$(cd "$(dirname "$0")/../.." && pwd -P)
matrix=$project/tests/matrix
build=$project/build/release
export LC_ALL=C.UTF-8
jobs=$(nproc)
failed=

# The program as it is installed.
programs=$project/build/matrix/program
cmake --install "$build" --strip --prefix "$programs" > /dev/null

# run NAME COMMAND...: goes on when it fails, and says so at the end.
run() {
    name=$1
    shift
    echo "== $name"
    "$@" || failed="$failed
    $name"
}

for release in "$@"; do
    root=$(sh "$matrix/root.sh" "$release")
    plugin=$project/build/matrix/$release
    version=$(ls "$root/usr/lib/rabbitmq/lib")

    sh "$matrix/in_root.sh" "$root" "$project" sh -c '
        cmake -S . -B "$1" -G Ninja -DHOT_BACKUP_PROGRAMS="$2" > /dev/null && cmake --build "$1"' \
            sh "$plugin" "$programs/lib/rabbitmq-hot-backup"
    run "$version: the plugin by itself" \
        sh "$matrix/in_root.sh" "$root" "$project" sh -c '
            cd "$1" && ctest --output-on-failure -j "$2" -E dialyzer -R "$3"' sh "$plugin" "$jobs" "$filter"
    if echo install.package | grep -Eq "$filter"; then
        run "$version: the package" \
            sh "$matrix/in_root.sh" "$root" "$project" sh tests/install/package.sh "$plugin" \
                "$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$plugin/CMakeCache.txt")"
    fi

    inside="sh $matrix/in_root.sh $root $project --over $plugin/plugins $build/plugins"
    # The words of $inside have no blanks of their own.
    # shellcheck disable=SC2086
    run "$version: with brokers" \
        $inside sh -c 'cd "$1" && ctest --output-on-failure -j "$2" -L integration -E "^install" -R "$3"' \
            sh "$build" "$jobs" "$filter"
    # The browser is this machine's, the broker the root's.
    run "$version: in a browser" \
        env HOT_BACKUP_TEST_LAUNCHER="$inside" \
            ctest --test-dir "$build" --output-on-failure -j "$jobs" -L ui -E 'screenshots|compiler' -R "$filter"
done

if [ -n "$failed" ]; then
    echo "These failed:$failed"
    exit 1
fi

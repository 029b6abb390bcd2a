#!/bin/sh
# Runs the suites that need a broker on each RabbitMQ that Debian carries, beside the one that is installed here, and restores from one
# into another (across.sh):
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

# The program as it is installed: plugin.sh looks for it there.
cmake --install "$build" --strip --prefix "$project/build/matrix/program" > /dev/null

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
    plugin=$(sh "$matrix/plugin.sh" "$release" "$root")
    version=$(ls "$root/usr/lib/rabbitmq/lib")

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
    # The browser is this machine's, the broker the root's. RabbitMQ's own pages work under the strict policy from 4.3 on; on 3.10.8 the
    # test helps them.
    case $version in
        *-4.[3-9].*) without='screenshots|compiler' ;;
        *) without='screenshots|compiler|strict' ;;
    esac
    run "$version: in a browser" \
        env HOT_BACKUP_TEST_LAUNCHER="$inside" \
            ctest --test-dir "$build" --output-on-failure -j "$jobs" -L ui -E "$without" -R "$filter"
done

# Prints 3.8.9.
version_of() {
    [ "$1" = bookworm ] && files=/ || files=$(sh "$matrix/root.sh" "$1")
    server=$(ls "$files/usr/lib/rabbitmq/lib")
    echo "${server##*-}"
}

for pair in bookworm:forky bullseye:trixie trixie:forky; do
    from=${pair%:*} into=${pair#*:}
    case "$* bookworm" in *"$from"*) ;; *) continue ;; esac
    case "$*" in *"$into"*) ;; *) continue ;; esac
    name=across.$(version_of "$from")-$(version_of "$into")
    if echo "$name" | grep -Eq "$filter"; then
        run "$name" sh "$matrix/across.sh" "$from" "$into"
    fi
done

if [ -n "$failed" ]; then
    echo "These failed:$failed"
    exit 1
fi

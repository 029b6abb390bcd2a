#!/bin/sh
# Restores a backup of one RabbitMQ into a live broker of a later one:
#
#   sh tests/matrix/across.sh FROM INTO        two of bullseye, bookworm, trixie, forky
#
# Each runs in its own root (root.sh), but for bookworm, which is this machine. The program and the test are those of build/release. As
# root.
set -eu

matrix=$(cd "$(dirname "$0")" && pwd -P)
project=${matrix%/tests/matrix}
build=$project/build/release
export LC_ALL=C.UTF-8

# Prints the command by which a program runs there, whose words have no blanks of their own.
launcher() {
    [ "$1" != bookworm ] || return 0
    root=$(sh "$matrix/root.sh" "$1")
    plugin=$(sh "$matrix/plugin.sh" "$1" "$root")
    echo "sh $matrix/in_root.sh $root $project --over $plugin/plugins $build/plugins"
}

from=$(launcher "$1")
into=$(launcher "$2")
HOT_BACKUP_TEST_FROM=$from HOT_BACKUP_TEST_INTO=$into exec "$build/tests/transfer/transfer.across" --durations yes

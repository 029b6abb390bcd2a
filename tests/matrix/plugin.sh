#!/bin/sh
# Compiles the plugin by the Erlang of a root (root.sh), and prints the directory of that build: sh tests/matrix/plugin.sh RELEASE ROOT
set -eu

release=$1 root=$2
matrix=$(cd "$(dirname "$0")" && pwd -P)
project=${matrix%/tests/matrix}
plugin=$project/build/matrix/$release

sh "$matrix/in_root.sh" "$root" "$project" sh -c '
    cmake -S . -B "$1" -G Ninja -DHOT_BACKUP_PROGRAMS="$2" > /dev/null && cmake --build "$1"' \
        sh "$plugin" "$project/build/matrix/program/lib/rabbitmq-hot-backup" >&2
echo "$plugin"

#!/bin/sh
# Prints the directory of a system with the RabbitMQ of a Debian release, and makes it first if it is not there:
#
#   sh tests/matrix/root.sh bullseye|bookworm|trixie|forky
#
# It is kept for the next run, in HOT_BACKUP_ROOTS or below /var/cache. DEBIAN_MIRROR: from where, if not from debootstrap's default.
set -eu

release=$1
roots=${HOT_BACKUP_ROOTS:-/var/cache/rabbitmq-hot-backup/roots}
root=$roots/$release

# What the tests need there: they are compiled elsewhere, but the plugin and its own tests run on the Erlang of the release.
packages=rabbitmq-server,erlang-base,erlang-dev,erlang-eunit,erlang-tools,cmake,ninja-build,iproute2,xxhash

# A change of what belongs into a root makes it anew.
made=$root/.rabbitmq-hot-backup
mkdir -p "$roots"
exec 9> "$roots/.lock"
flock 9
if [ "$(cat "$made" 2> /dev/null)" = "$packages" ]; then
    echo "$root"
    exit
fi

echo "Making a root of Debian $release in $root" >&2
rm -rf "$root" "$root.partial"
# A release that this debootstrap does not know yet is made like unstable.
script=/usr/share/debootstrap/scripts/$release
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
if ! debootstrap --variant=minbase --include="$packages" "$release" "$root.partial" \
        "${DEBIAN_MIRROR:-}" "$script" > "$root.log" 2>&1; then
    tail -n 20 "$root.log" >&2
    echo "root.sh: debootstrap failed; all of its output is in $root.log" >&2
    exit 1
fi
rm -rf "$root.partial/var/cache/apt/archives" "$root.partial/var/lib/apt/lists"
# What an installed system has.
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' > "$root.partial/etc/hosts"
echo "$packages" > "$root.partial/.rabbitmq-hot-backup"
mv "$root.partial" "$root"
echo "$root"

#!/bin/sh
# Runs a command inside a root (root.sh): sh tests/matrix/in_root.sh ROOT DIRECTORY [--over SOURCE TARGET]... COMMAND [ARGUMENT...]
#
# Its files are the root's, but for /tmp and DIRECTORY, which is where the command starts: these are shared with the machine, as are
# network and processes. With --over, the directory SOURCE is seen in the place of TARGET. What is mounted for it goes away with it.
set -eu

if [ "${in_root_mounts:-}" != private ]; then
    exec env in_root_mounts=private unshare --mount --propagation private sh "$0" "$@"
fi
unset in_root_mounts

root=$1 directory=$2
shift 2
# A mount point, as the root of a system is.
mount --bind "$root" "$root"
for shared in /proc /sys /dev /tmp "$directory"; do
    mkdir -p "$root$shared"
    mount --rbind "$shared" "$root$shared"
done
while [ "$1" = --over ]; do
    mount --bind "$2" "$root$3"
    shift 3
done
# Erlang looks for the machine's name there; the newest RabbitMQ waits for it for ever.
mount --bind /etc/hosts "$root/etc/hosts"
# Within a mere chroot nobody may make a namespace of users, which some tests do.
cd "$root"
mkdir -p .before
pivot_root . .before
umount -l .before
exec sh -c 'cd "$1"; shift; exec "$@"' sh "$directory" "$@"

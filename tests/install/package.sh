#!/bin/sh
# Builds the Debian package, installs it on a system that has RabbitMQ and nothing of ours, backs a node up, removes it
# again while the node runs, and purges it.
#
# The system is this machine's as it lies on disk, seen through an overlay: what happens there stays there. It has a
# network of its own, so the node may take the usual ports. Needs root.
# usage: package.sh BUILD_DIRECTORY VERSION
set -eu
build=$1 version=$2
fail() { echo "FAILED: $*" >&2; exit 1; }
[ "$(id -u)" -eq 0 ] || exec sudo sh "$0" "$@"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && cpack --config "$build/CPackConfig.cmake" -B "$work/made" > "$work/cpack.log" 2>&1) ||
    { cat "$work/cpack.log" >&2; fail "cpack"; }
release=$(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().')
package=$(ls "$work"/made/rabbitmq-hot-backup_"$version+otp$release"_*.deb)

# The gate.
dpkg-deb -f "$package" Depends | grep -q "erlang-base (>= 1:$release)" || fail "the package does not depend on Erlang $release"
dpkg-deb -e "$package" "$work/control"
mkdir "$work/other"
for other in $((release - 1)) $((release + 3)); do
    printf '#!/bin/sh\nprintf %s\n' "$other" > "$work/other/erl"
    chmod 755 "$work/other/erl"
    if PATH="$work/other:$PATH" sh "$work/control/preinst" install 2> "$work/refusal"; then
        fail "Erlang $other is not refused"
    fi
    grep -q "and here is $other" "$work/refusal" || fail "the refusal does not say why: $(cat "$work/refusal")"
done
sh "$work/control/preinst" install || fail "the Erlang that it was built with is refused"

# The system.
mkdir "$work/layers" "$work/root"
cp "$package" "$work/package.deb"
cp "$(dirname "$0")/package_in_root.sh" "$work/in_root.sh"
unshare --mount --net --pid --fork --kill-child --propagation private sh -eu -c '
    work=$1
    ip link set lo up
    mount -t tmpfs -o size=2g tmpfs "$work/layers"
    mkdir "$work/layers/upper" "$work/layers/work"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$work/root"
    mount -t proc proc "$work/root/proc"
    mount --rbind /dev "$work/root/dev"
    mount -t tmpfs tmpfs "$work/root/tmp"
    mount -t tmpfs tmpfs "$work/root/run"
    cp "$work/package.deb" "$work/in_root.sh" "$work/root/tmp/"
    exec chroot "$work/root" /bin/sh /tmp/in_root.sh' sh "$work"

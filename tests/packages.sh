#!/bin/sh
# Installs the Debian packages that building and testing need, and those that are named: as root, or with sudo. Does nothing when all
# are there.
#
# No service is started, restarted or left enabled: a RabbitMQ that already runs on the machine notices nothing.
set -eu

packages="g++ cmake ninja-build
    erlang-dev erlang-eunit erlang-tools erlang-dialyzer rabbitmq-server
    libboost-dev libboost-filesystem-dev nlohmann-json3-dev libxxhash-dev libcli11-dev libpcre2-dev
    catch2 librabbitmq-dev xxhash openssl chromium $*"
# For the tests of the management page. Node.js often comes from elsewhere, with npm in it, and the two packages would conflict.
command -v npm > /dev/null || packages="$packages nodejs npm"

if ! command -v dpkg-query > /dev/null; then
    echo "packages.sh: this is not Debian; install what these are called here: $packages" >&2
    exit 1
fi

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

missing=
for package in $packages; do
    is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null; then
        echo "packages.sh: as root, install:$missing" >&2
        exit 1
    fi
    exec sudo sh "$0" "$@"
fi

echo "Installing:$missing"
had_rabbitmq=yes had_erlang=yes
is_installed rabbitmq-server || had_rabbitmq=no
is_installed erlang-base || had_erlang=no

# Package scripts ask this file before they start or restart a service. A machine that has one gets it back.
policy=/usr/sbin/policy-rc.d
kept=$policy.kept-by-hot-backup
[ ! -e "$policy" ] || mv "$policy" "$kept"
trap 'rm -f "$policy"; [ ! -e "$kept" ] || mv "$kept" "$policy"' EXIT
trap 'exit 130' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' > "$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
install() {
    # The list is meant to be split into words.
    # shellcheck disable=SC2086
    apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing < /dev/null
}
# Without package lists, or with old ones, the first attempt fails at once.
install || { apt-get update -q && install; }

# Ours only for their files: they shall not start at the next boot either.
if [ "$had_rabbitmq" = no ]; then
    update-rc.d rabbitmq-server disable > /dev/null 2>&1 || true
fi
if [ "$had_erlang" = no ] && command -v systemctl > /dev/null; then
    systemctl disable epmd.service epmd.socket > /dev/null 2>&1 || true
fi

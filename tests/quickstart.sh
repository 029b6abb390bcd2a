#!/bin/sh
# Shows what RabbitMQ Hot Backup does, on a throw-away broker that ends with this script: nothing stays but the build.
set -eu

if [ $# -gt 0 ]; then
    echo "usage: sh tests/quickstart.sh" >&2
    exit 2
fi

export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.."
work=$(mktemp -d "${TMPDIR:-/tmp}/hot-backup-quickstart.XXXXXX")
broker=
confirmed='' consumed='' failure=''

end_broker() {
    [ -n "$broker" ] || return 0
    kill "$broker" 2> /dev/null || true
    wait "$broker" 2> /dev/null || true
    broker=
}
trap 'end_broker; rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

say() {
    printf '\n\033[1m%s\033[0m\n' "$*"
}
[ -t 1 ] || say() {
    printf '\n%s\n' "$*"
}

# Runs the program and shows how an operator would have called it.
hot_backup() {
    printf '$ rabbitmq-hot-backup %s\n' "$*"
    "$program" "$@"
}

quietly() {
    "$@" > "$work/log" 2>&1 < /dev/null || { cat "$work/log"; exit 1; }
}

say "1. Packages and build (minutes the first time, seconds from then on)"
sh tests/packages.sh
[ -f build/release/build.ninja ] || quietly cmake --preset release
cmake --build --preset release --target rabbitmq-hot-backup throwaway_broker -j "$(nproc)"
program=$PWD/build/release/sidecar/rabbitmq-hot-backup

say "2. A throw-away broker with the plugin, a few thousand queues and bindings, and live traffic"
TMPDIR=$work build/release/tests/tools/throwaway_broker --ready-file "$work/ready" > "$work/traffic" &
broker=$!
while [ ! -f "$work/ready" ]; do
    kill -0 "$broker" 2> /dev/null || { echo "The broker did not start; see above."; exit 1; }
    sleep 0.1
done
# shellcheck disable=SC1091
. "$work/ready"
export ERL_EPMD_PORT
repository=$work/backups
echo "$NODE is running: its own directory, ports and cookie; any other broker on this machine is untouched."

say "3. A backup, while clients publish and consume"
hot_backup create --node "$NODE" --cookie-file "$COOKIE_FILE" --repository "$repository"

say "4. What is there now"
hot_backup list --repository "$repository"

say "5. Is every byte readable? Each one is read again and compared with its checksum"
hot_backup verify latest --repository "$repository"

say "6. What the backup holds"
hot_backup show latest --repository "$repository"

say "7. Definitions for any broker, made from the backup alone"
hot_backup definitions latest --repository "$repository" --output "$work/definitions.json"
echo "$(wc -c < "$work/definitions.json") bytes of JSON that rabbitmqctl import_definitions accepts."

end_broker
# shellcheck disable=SC1091
. "$work/traffic"
if [ -n "$failure" ]; then
    echo "The traffic was disturbed: $failure"
    exit 1
fi

say "What happened"
cat << END
A running broker was backed up. No queue was touched, and meanwhile its clients had $confirmed messages confirmed
and acknowledged $consumed. What they could feel of it is the pause that step 3 names. The backup holds the broker's
messages, vhosts, users, permissions, policies, queues, exchanges and bindings, and its configuration, as they were
at one instant. The command restore brings it back, as a node or queue by queue.
The broker and the backup are being removed now.

What to try next
  on a broker of yours:  sudo cmake --install build/release --prefix /usr
                         sudo rabbitmq-plugins enable rabbitmq_hot_backup
                         sudo rabbitmq-hot-backup create
  every test:            sh tests/run.sh
  how it is operated:    docs/operations.md
  how it works:          docs/architecture.md
END

# What package.sh does within its own system.
set -eu
export LC_ALL=C.UTF-8 RABBITMQ_NODENAME=rabbit@localhost HOME=/root
cd /
fail() { echo "FAILED: $*" >&2; exit 1; }
as_rabbitmq() { setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups env HOME=/var/lib/rabbitmq "$@"; }

# Nothing of ours, and a node as Debian's package makes one.
rm -rf /etc/rabbitmq/* /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie /var/log/rabbitmq/* /var/backups/rabbitmq
rm -rf /usr/lib/rabbitmq/plugins/rabbitmq_hot_backup-* /usr/lib/rabbitmq-hot-backup /usr/bin/rabbitmq-hot-backup
chown rabbitmq:rabbitmq /var/lib/rabbitmq /var/log/rabbitmq
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d

await() {  # DESCRIPTION COMMAND...
    what=$1; shift
    deadline=$(($(date +%s) + 120))
    while [ "$(date +%s)" -lt "$deadline" ]; do
        if "$@" > /tmp/await 2>&1; then return; fi
        sleep 0.1
    done
    cat /tmp/await /var/log/rabbitmq/*.log >&2 || true
    fail "$what"
}
start_node() {
    as_rabbitmq rabbitmq-server > /tmp/node.log 2>&1 < /dev/null &
    node=$!
    await "the node does not start" rabbitmqctl await_startup --timeout 10
}
stop_node() {
    rabbitmqctl stop > /dev/null
    wait "$node" || true
}

dpkg -i /tmp/package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg -i"; }
grep -q "rabbitmq-plugins enable" /tmp/dpkg.log || fail "the installation does not say how to go on"
[ "$(stat -c '%U:%G %a' /var/backups/rabbitmq)" = "rabbitmq:rabbitmq 750" ] || fail "the repository's directory"
[ -f /etc/rabbitmq/conf.d/hot-backup.conf ] || fail "no settings in conf.d"
[ -f /usr/share/man/man1/rabbitmq-hot-backup.1 ] || [ -f /usr/share/man/man1/rabbitmq-hot-backup.1.gz ] ||
    fail "no manual page"
rabbitmq-hot-backup --version > /dev/null || fail "the program does not run"

# It installs nothing that is on: a node starts as before. Then the plugin, with a setting.
start_node
rabbitmq-plugins enable rabbitmq_hot_backup > /dev/null
rabbitmqctl eval 'rabbit_hot_backup:start_backup(#{}).' | grep -q '{ok,1}' || fail "no backup begins"
await "no backup is made" sh -c "rabbitmqctl eval 'rabbit_hot_backup:history().' | grep -q 'state => done'"
as_rabbitmq rabbitmq-hot-backup verify latest --repository /var/backups/rabbitmq > /dev/null || fail "the backup is damaged"
stop_node
echo "hot_backup.max_pause = 200ms" >> /etc/rabbitmq/conf.d/hot-backup.conf
start_node
rabbitmqctl eval 'application:get_env(rabbitmq_hot_backup, max_pause).' | grep -q '{ok,200}' || fail "the setting is not read"

# Installed over itself, as an upgrade does: what the operator wrote stays.
dpkg -i /tmp/package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg -i, again"; }
grep -q "max_pause = 200ms" /etc/rabbitmq/conf.d/hot-backup.conf || fail "an upgrade loses settings"

# Other plugins go on and off beside it, and no tool misses it.
rabbitmq-plugins enable rabbitmq_shovel > /tmp/plugins.log 2>&1 || { cat /tmp/plugins.log >&2; fail "no other plugin is enabled"; }
rabbitmq-plugins disable rabbitmq_shovel >> /tmp/plugins.log 2>&1 || { cat /tmp/plugins.log >&2; fail "no other plugin is disabled"; }
if grep -q missing /tmp/plugins.log; then fail "rabbitmq-plugins misses it: $(cat /tmp/plugins.log)"; fi

# Another RabbitMQ comes, and goes. What Debian's rabbitmq-plugins needs to find the plugin comes and goes with it.
triggered() { dpkg-trigger --by-package=rabbitmq-server /usr/lib/rabbitmq/lib && dpkg --triggers-only -a; }
links() { find "$1" -maxdepth 2 -type l -name 'rabbitmq_hot_backup-*' | wc -l; }
wanted=$(links /usr/lib/rabbitmq/lib/rabbitmq_server-*)
other=/usr/lib/rabbitmq/lib/rabbitmq_server-99.0
mkdir -p $other/plugins/rabbit-99.0
triggered
[ "$(links $other)" = "$wanted" ] || fail "a new RabbitMQ's tools do not find the plugin"
rmdir $other/plugins/rabbit-99.0
triggered
[ ! -e $other ] || fail "something stays where a RabbitMQ was"

# Removed under a running node, which goes on, and starts again.
dpkg -r rabbitmq-hot-backup > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg -r"; }
rabbitmqctl eval 'lists:keymember(rabbitmq_hot_backup, 1, application:which_applications()).' | grep -q false ||
    fail "the plugin runs on without its files"
stop_node
start_node
stop_node
[ -z "$(find /usr -name '*hot[-_]backup*' -not -path '/usr/src/*')" ] || fail "left behind: $(find /usr -name '*hot[-_]backup*')"

# And back, with the settings that were there.
dpkg -i /tmp/package.deb > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg -i, after a removal"; }
grep -q "max_pause = 200ms" /etc/rabbitmq/conf.d/hot-backup.conf || fail "the settings do not come back"

dpkg -P rabbitmq-hot-backup > /tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log >&2; fail "dpkg -P"; }
[ -z "$(find /etc/rabbitmq -name '*hot*')" ] || fail "a purge leaves settings"
[ -n "$(ls /var/backups/rabbitmq)" ] || fail "a purge takes backups away"
start_node
stop_node
echo "installed, used, upgraded, removed and purged"

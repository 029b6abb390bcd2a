#!/bin/sh
# `cmake --install` lays out what docs/operations.md says, and the parts find each other.
# usage: layout.sh BUILD_DIRECTORY VERSION
set -eu
build=$1 version=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

cmake --install "$build" --prefix "$root/usr" > "$root/log"

fail() { echo "FAILED: $*" >&2; exit 1; }
is_file() { [ -f "$root/usr/$1" ] || fail "$1 is not installed"; }

is_file lib/rabbitmq-hot-backup/rabbitmq-hot-backup
is_file lib/rabbitmq-hot-backup/librabbitmq_hot_backup_nap.so
is_file lib/rabbitmq-hot-backup/librabbitmq_hot_backup_sandbox.so
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/ebin/rabbitmq_hot_backup.app"
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/ebin/rabbit_hot_backup_session.beam"
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/ebin/rabbit_hot_backup_mgmt.beam"
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/ebin/Elixir.RabbitMQ.CLI.Ctl.Commands.HotBackupCommand.beam"
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/priv/www/js/hot-backup.js"
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/priv/www/css/hot-backup.css"
is_file share/man/man1/rabbitmq-hot-backup.1
is_file share/doc/rabbitmq-hot-backup/examples/advanced.config
is_file share/doc/rabbitmq-hot-backup/examples/hot-backup.conf
is_file "lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/priv/schema/rabbitmq_hot_backup.schema"

[ "$("$root/usr/bin/rabbitmq-hot-backup" --version)" = "$version" ] || fail "the link does not run"

# The plugin and its default for the program's path agree with the layout, and the example is a valid configuration
# that says nothing but the defaults.
erl -noshell -pa "$root/usr/lib/rabbitmq/plugins/rabbitmq_hot_backup-$version/ebin" -eval '
    [Example] = init:get_plain_arguments(),
    ok = application:load(rabbitmq_hot_backup),
    {ok, "/usr/lib/rabbitmq-hot-backup/rabbitmq-hot-backup"} =
        application:get_env(rabbitmq_hot_backup, executable),
    {ok, [[{rabbitmq_hot_backup, Settings}]]} = file:consult(Example),
    [{ok, Value} = application:get_env(rabbitmq_hot_backup, Key) || {Key, Value} <- Settings],
    {ok, Modules} = application:get_key(rabbitmq_hot_backup, modules),
    [{module, Module} = code:load_file(Module) || Module <- Modules],
    halt(0).' -extra "$root/usr/share/doc/rabbitmq-hot-backup/examples/advanced.config" ||
    fail "the installed plugin"

# Every name that the manual shows is one that the program knows.
for command in create list show verify definitions delete; do
    grep -q "^\.B $command" "$root/usr/share/man/man1/rabbitmq-hot-backup.1" || fail "no $command in the manual"
    "$root/usr/bin/rabbitmq-hot-backup" "$command" --help > "$root/help" || fail "$command --help"
done
echo "installed as documented"

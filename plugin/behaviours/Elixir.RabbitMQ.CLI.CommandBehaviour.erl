%% What RabbitMQ's command line tools expect of a command, so that the plugin is compiled, and this
%% is checked, where RabbitMQ is not at hand. Not installed.
-module('Elixir.RabbitMQ.CLI.CommandBehaviour').

-type options() :: map().

-callback usage() -> binary().
-callback usage_additional() -> [{binary(), binary()}].
-callback usage_doc_guides() -> [binary()].
-callback description() -> binary().
-callback help_section() -> {plugin, atom()}.
-callback scopes() -> [atom()].
-callback switches() -> [{atom(), atom()}].
-callback aliases() -> [{atom(), atom()}].
-callback formatter() -> module().
-callback merge_defaults([binary()], options()) -> {[binary()], options()}.
-callback validate([binary()], options()) -> ok | {validation_failure, term()}.
-callback banner([binary()], options()) -> binary() | nil.
-callback run([binary()], options()) -> term().
%% `ok`, `{ok, Output}`, `{stream, Outputs}`, `{error, Reason}` or `{error, ExitCode, Message}`.
-callback output(term(), options()) -> term().

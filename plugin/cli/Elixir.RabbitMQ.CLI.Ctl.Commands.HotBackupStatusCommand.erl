%% `rabbitmqctl hot_backup_status`: what the plugin does on the node, and how it is.
-module('Elixir.RabbitMQ.CLI.Ctl.Commands.HotBackupStatusCommand').

-behaviour('Elixir.RabbitMQ.CLI.CommandBehaviour').

-export([usage/0, usage_additional/0, usage_doc_guides/0, description/0, help_section/0, scopes/0,
         switches/0, aliases/0, formatter/0, merge_defaults/2, validate/2, banner/2, run/2,
         output/2]).

-spec usage() -> binary().
usage() ->
    <<"hot_backup_status">>.

-spec usage_additional() -> [{binary(), binary()}].
usage_additional() ->
    [].

-spec usage_doc_guides() -> [binary()].
usage_doc_guides() ->
    [].

-spec description() -> binary().
description() ->
    <<"Shows what hot backups do on the node now, and what failed last">>.

-spec help_section() -> {plugin, atom()}.
help_section() ->
    {plugin, rabbitmq_hot_backup}.

-spec scopes() -> [atom()].
scopes() ->
    [ctl, diagnostics].

-spec switches() -> [{atom(), atom()}].
switches() ->
    [].

-spec aliases() -> [{atom(), atom()}].
aliases() ->
    [].

-spec formatter() -> module().
formatter() ->
    'Elixir.RabbitMQ.CLI.Formatters.String'.

-spec merge_defaults([binary()], map()) -> {[binary()], map()}.
merge_defaults(Arguments, Options) ->
    {Arguments, Options}.

-spec validate([binary()], map()) -> ok | {validation_failure, term()}.
validate([], _) -> ok;
validate(_, _) -> {validation_failure, too_many_args}.

-spec banner([binary()], map()) -> binary().
banner(_, #{node := Node}) ->
    <<"Hot backups of node ", (atom_to_binary(Node))/binary>>.

-spec run([binary()], rabbit_hot_backup_cli:options()) -> term().
run(_, Options) ->
    rabbit_hot_backup_cli:call(Options, rabbit_hot_backup_overview, status, []).

-spec output(term(), rabbit_hot_backup_cli:options()) -> term().
output({answer, Status}, Options) ->
    case rabbit_hot_backup_cli:is_json(Options) of
        true -> {ok, rabbit_hot_backup_cli:json(Status)};
        false -> {ok, unicode:characters_to_binary(lists:join("\n", lines(Status)))}
    end;
output(Other, Options) ->
    'Elixir.RabbitMQ.CLI.DefaultOutput':output(Other, Options).

-spec lines(map()) -> [iodata()].
lines(#{version := Version, program := Program, repository := Repository, running := Running,
        last_failure := Failure}) ->
    [["Version: ", Version],
     ["Program: ", program(Program)],
     ["Repository: ", repository(Repository)]]
        ++ case Running of
               [] -> ["Running: nothing"];
               _ -> [["Running: ", job(Job)] || Job <- Running]
           end
        ++ [["Last failure: ", failure(Failure)]].

-spec program(map()) -> iodata().
program(#{state := State, error := null}) -> atom_to_binary(State);
program(#{state := State, error := Error}) ->
    [atom_to_binary(State), ": ", rabbit_hot_backup_protocol:format_error(Error)].

-spec repository(map()) -> iodata().
repository(#{path := Path, free_bytes := Free}) when is_integer(Free) ->
    [Path, ", ", rabbit_hot_backup_cli:size_text(Free), " free"];
repository(#{path := Path}) ->
    Path.

-spec job(map()) -> iodata().
job(#{id := Id, kind := Kind, phase := Phase, bytes_done := Done}) ->
    ["job ", integer_to_list(Id), ", ", atom_to_list(Kind)]
        ++ [[", ", Phase] || Phase =/= null]
        ++ [[", ", rabbit_hot_backup_cli:size_text(Done)] || is_integer(Done), Done > 0].

-spec failure(map() | null) -> iodata().
failure(null) ->
    "none since the plugin was started";
failure(#{kind := Kind, finished := Time, error := Error}) ->
    [atom_to_list(Kind), " at ", Time, ": ",
     case Error of
         null -> "no reason was given.";
         _ -> rabbit_hot_backup_protocol:format_error(Error)
     end].

%% `rabbitmqctl hot_backup`: makes a backup of the node.
-module('Elixir.RabbitMQ.CLI.Ctl.Commands.HotBackupCommand').

-behaviour('Elixir.RabbitMQ.CLI.CommandBehaviour').

-export([usage/0, usage_additional/0, usage_doc_guides/0, description/0, help_section/0, scopes/0,
         switches/0, aliases/0, formatter/0, merge_defaults/2, validate/2, banner/2, run/2,
         output/2]).

-spec usage() -> binary().
usage() ->
    <<"hot_backup [--no-wait] [--repository <directory>] [--this-node] "
      "[--allow-missing <nodes>]">>.

-spec usage_additional() -> [{binary(), binary()}].
usage_additional() ->
    [{<<"--no-wait">>, <<"return when the backup has been accepted">>},
     {<<"--repository <directory>">>, <<"where it goes, on the node; by default where the node's "
                                        "configuration says">>},
     {<<"--this-node">>, <<"only the target node, not all nodes of its cluster">>},
     {<<"--allow-missing <nodes>">>, <<"nodes, separated by commas, that do not run and may be "
                                       "left out: what only they have is not in the backup">>}].

-spec usage_doc_guides() -> [binary()].
usage_doc_guides() ->
    [].

-spec description() -> binary().
description() ->
    <<"Backs up the running node, or all nodes of its cluster at one instant, messages included, "
      "without stopping anything">>.

-spec help_section() -> {plugin, atom()}.
help_section() ->
    {plugin, rabbitmq_hot_backup}.

-spec scopes() -> [atom()].
scopes() ->
    [ctl].

-spec switches() -> [{atom(), atom()}].
switches() ->
    [{wait, boolean}, {repository, string}, {this_node, boolean}, {allow_missing, string}].

-spec aliases() -> [{atom(), atom()}].
aliases() ->
    [].

-spec formatter() -> module().
formatter() ->
    'Elixir.RabbitMQ.CLI.Formatters.String'.

-spec merge_defaults([binary()], map()) -> {[binary()], map()}.
merge_defaults(Arguments, Options) ->
    {Arguments, maps:merge(#{wait => true}, Options)}.

-spec validate([binary()], map()) -> ok | {validation_failure, term()}.
validate([], #{repository := <<"/", _/binary>>}) -> ok;
validate([], #{repository := _}) ->
    {validation_failure, {bad_argument, <<"the repository has to be an absolute path">>}};
validate([], _) -> ok;
validate(_, _) -> {validation_failure, too_many_args}.

-spec banner([binary()], map()) -> binary().
banner(_, #{node := Node}) ->
    <<"Backing up ", (atom_to_binary(Node))/binary, " ...">>.

-spec run([binary()], rabbit_hot_backup_cli:options()) -> term().
run(_, Options) ->
    Missing = [{allow_missing, binary:split(Nodes, <<",">>, [global])}
               || #{allow_missing := Nodes} <- [Options]],
    Wanted = maps:merge(maps:with([repository, this_node], Options),
                        maps:from_list([{actor, rabbit_hot_backup_cli:actor()} | Missing])),
    rabbit_hot_backup_cli:start(Options, start_backup, [Wanted]).

-spec output(term(), rabbit_hot_backup_cli:options()) -> term().
output({ok, Job}, Options) ->
    case rabbit_hot_backup_cli:is_json(Options) of
        true -> {ok, rabbit_hot_backup_cli:json(Job)};
        false -> {ok, sentence(Job)}
    end;
output(Other, Options) ->
    'Elixir.RabbitMQ.CLI.DefaultOutput':output(Other, Options).

-spec sentence(map()) -> binary().
sentence(#{state := done, backup := Backup, repository := Repository}) ->
    <<"Backup ", Backup/binary, " is done, in ", Repository/binary>>;
sentence(#{id := Id}) ->
    <<"Job ", (integer_to_binary(Id))/binary, " was started; see `rabbitmqctl hot_backup_status`">>.

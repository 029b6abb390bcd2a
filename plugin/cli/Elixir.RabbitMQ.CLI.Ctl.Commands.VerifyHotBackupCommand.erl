%% `rabbitmqctl verify_hot_backup`: verifies a backup in the node's repository.
-module('Elixir.RabbitMQ.CLI.Ctl.Commands.VerifyHotBackupCommand').

-behaviour('Elixir.RabbitMQ.CLI.CommandBehaviour').

-export([usage/0, usage_additional/0, usage_doc_guides/0, description/0, help_section/0, scopes/0,
         switches/0, aliases/0, formatter/0, merge_defaults/2, validate/2, banner/2, run/2,
         output/2]).

-spec usage() -> binary().
usage() ->
    <<"verify_hot_backup [<backup>] [--boot] [--no-wait]">>.

-spec usage_additional() -> [{binary(), binary()}].
usage_additional() ->
    [{<<"<backup>">>, <<"its ID; by default the latest one">>},
     {<<"--boot">>, <<"also boot a broker from it, beside the node, and compare what it serves">>},
     {<<"--no-wait">>, <<"return when the verification has begun">>}].

-spec usage_doc_guides() -> [binary()].
usage_doc_guides() ->
    [].

-spec description() -> binary().
description() ->
    <<"Compares every byte of a hot backup with its checksum, or boots it">>.

-spec help_section() -> {plugin, atom()}.
help_section() ->
    {plugin, rabbitmq_hot_backup}.

-spec scopes() -> [atom()].
scopes() ->
    [ctl].

-spec switches() -> [{atom(), atom()}].
switches() ->
    [{wait, boolean}, {boot, boolean}].

-spec aliases() -> [{atom(), atom()}].
aliases() ->
    [].

-spec formatter() -> module().
formatter() ->
    'Elixir.RabbitMQ.CLI.Formatters.String'.

-spec merge_defaults([binary()], map()) -> {[binary()], map()}.
merge_defaults([], Options) ->
    merge_defaults([<<"latest">>], Options);
merge_defaults(Arguments, Options) ->
    {Arguments, maps:merge(#{wait => true, boot => false}, Options)}.

-spec validate([binary()], map()) -> ok | {validation_failure, term()}.
validate([_], _) -> ok;
validate(_, _) -> {validation_failure, too_many_args}.

-spec banner([binary()], map()) -> binary().
banner([Backup], #{node := Node}) ->
    <<"Verifying backup ", Backup/binary, " of node ", (atom_to_binary(Node))/binary, " ...">>.

-spec run([binary()], rabbit_hot_backup_cli:options()) -> term().
run([Backup], #{boot := Boot} = Options) ->
    Function = case Boot of
                   true -> start_drill;
                   false -> start_verification
               end,
    rabbit_hot_backup_cli:start(Options, Function, [Backup, rabbit_hot_backup_cli:actor()]).

-spec output(term(), rabbit_hot_backup_cli:options()) -> term().
output({ok, Job}, Options) ->
    case rabbit_hot_backup_cli:is_json(Options) of
        true -> {ok, rabbit_hot_backup_cli:json(Job)};
        false -> {ok, sentence(Job)}
    end;
output(Other, Options) ->
    'Elixir.RabbitMQ.CLI.DefaultOutput':output(Other, Options).

-spec sentence(map()) -> binary().
sentence(#{state := done, kind := verify, backup := Backup}) ->
    <<"Backup ", Backup/binary, " is intact">>;
sentence(#{state := done, kind := drill, backup := Backup}) ->
    <<"Backup ", Backup/binary, " boots and serves what it should">>;
sentence(#{id := Id}) ->
    <<"Job ", (integer_to_binary(Id))/binary, " was started; see `rabbitmqctl hot_backup_status`">>.

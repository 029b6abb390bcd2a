%% `rabbitmqctl list_hot_backups`: the backups in the node's repository.
-module('Elixir.RabbitMQ.CLI.Ctl.Commands.ListHotBackupsCommand').

-behaviour('Elixir.RabbitMQ.CLI.CommandBehaviour').

-export([usage/0, usage_additional/0, usage_doc_guides/0, description/0, help_section/0, scopes/0,
         switches/0, aliases/0, formatter/0, merge_defaults/2, validate/2, banner/2, run/2,
         output/2]).

-spec usage() -> binary().
usage() ->
    <<"list_hot_backups">>.

-spec usage_additional() -> [{binary(), binary()}].
usage_additional() ->
    [].

-spec usage_doc_guides() -> [binary()].
usage_doc_guides() ->
    [].

-spec description() -> binary().
description() ->
    <<"Lists the hot backups in the node's repository, the newest first">>.

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
    'Elixir.RabbitMQ.CLI.Formatters.Table'.

-spec merge_defaults([binary()], map()) -> {[binary()], map()}.
merge_defaults(Arguments, Options) ->
    {Arguments, Options}.

-spec validate([binary()], map()) -> ok | {validation_failure, term()}.
validate([], _) -> ok;
validate(_, _) -> {validation_failure, too_many_args}.

-spec banner([binary()], map()) -> binary().
banner(_, #{node := Node}) ->
    <<"Listing hot backups of node ", (atom_to_binary(Node))/binary, " ...">>.

-spec run([binary()], rabbit_hot_backup_cli:options()) -> term().
run(_, Options) ->
    case rabbit_hot_backup_cli:call(Options, rabbit_hot_backup_catalogue, list, []) of
        {answer, {[], #{code := Code} = Error}} when Code =/= not_found ->
            rabbit_hot_backup_cli:failure(Error);
        {answer, {Objects, _}} ->
            {backups, rabbit_hot_backup_json:backups(Objects)};
        Other ->
            Other
    end.

-spec output(term(), rabbit_hot_backup_cli:options()) -> term().
output({backups, Backups}, Options) ->
    case rabbit_hot_backup_cli:is_json(Options) of
        true -> {stream, rabbit_hot_backup_cli:json(Backups)};
        false -> {stream, [row(Backup) || Backup <- Backups]}
    end;
output(Other, Options) ->
    'Elixir.RabbitMQ.CLI.DefaultOutput':output(Other, Options).

-spec row(map()) -> [{atom(), term()}].
row(#{<<"backup">> := Id, <<"unreadable">> := Reason}) ->
    [{backup, Id}, {instant, <<"unreadable">>}, {bytes, <<>>}, {queues, <<>>},
     {protected, <<>>}, {verified, Reason}];
row(#{<<"backup">> := Id, <<"instant">> := Instant, <<"bytes">> := Bytes,
      <<"counts">> := #{<<"queues">> := Queues}} = Backup) ->
    [{backup, Id}, {instant, Instant}, {bytes, Bytes}, {queues, Queues},
     {protected, maps:get(<<"protected">>, Backup, false)}, {verified, verified(Backup)}].

-spec verified(map()) -> binary().
verified(#{<<"booted">> := #{<<"outcome">> := Outcome, <<"when">> := When}}) ->
    <<"boot ", Outcome/binary, " ", When/binary>>;
verified(#{<<"verified">> := #{<<"outcome">> := Outcome, <<"when">> := When}}) ->
    <<Outcome/binary, " ", When/binary>>;
verified(_) ->
    <<"never">>.

%% What an engine may ask for whose backup is a part of a cluster's, and a client that wants one:
%% docs/protocol.md, "Backups of a cluster".
-module(rabbit_hot_backup_cluster_operations).

-export([plan/3]).

-type answer() :: rabbit_hot_backup_operations:answer().

-spec plan(atom(), rabbit_hot_backup_protocol:details(),
           rabbit_hot_backup_part:id() | undefined) -> rabbit_hot_backup_operations:plan().
plan(Operation, _, undefined)
  when Operation =:= part_ready; Operation =:= part_prepared; Operation =:= cluster_published ->
    {now, {error, rabbit_hot_backup_protocol:error(
                    failed, "~ts: the backup is no part of a cluster's", [Operation])}};
plan(part_ready, Arguments, Part) ->
    {later, fun() ->
                    ready(rabbit_hot_backup_part:at(
                            Part, {ready, maps:with([dirty_files, dirty_bytes], Arguments)}))
            end};
plan(part_prepared, Arguments, Part) ->
    case is_prepared(Arguments) of
        true ->
            Prepared = maps:with([node, repository, path, host, backup, manifest_xxh3_128,
                                  manifest_bytes, summary, affected, warnings],
                                 Arguments),
            {later, fun() -> prepared(rabbit_hot_backup_part:at(Part, {prepared, Prepared})) end};
        false ->
            rabbit_hot_backup_operations:bad_arguments(part_prepared)
    end;
plan(cluster_published, #{manifest := Manifest}, Part) when is_binary(Manifest) ->
    %% The backup exists from now on, whoever is still there to hear it.
    {later, fun() ->
                    _ = rabbit_hot_backup_part:at(Part, {published, Manifest}),
                    {ok, #{}, #{}}
            end};
plan(cluster_begin, Arguments, _) ->
    case options(maps:to_list(Arguments), #{}) of
        {ok, Options} -> {later, fun() -> begun(Options) end};
        error -> rabbit_hot_backup_operations:bad_arguments(cluster_begin)
    end;
plan(cluster_status, #{job := Job}, _) when is_integer(Job) ->
    {later, fun() -> given(rabbit_hot_backup_cluster:status(Job)) end};
plan(cluster_cancel, #{job := Job}, _) when is_integer(Job) ->
    {later, fun() ->
                    ok = rabbit_hot_backup_cluster:cancel(Job),
                    {ok, #{}, #{}}
            end};
plan(Operation, _, _) ->
    rabbit_hot_backup_operations:bad_arguments(Operation).

-spec ready(rabbit_hot_backup_part:order() | again) -> answer().
ready(again) -> {ok, #{go => false, lock => false}, #{}};
ready({prepare, _, #{lock := Lock}}) -> {ok, #{go => true, lock => Lock}, #{}};
ready({fail, Error}) -> {error, Error}.

-spec is_prepared(rabbit_hot_backup_protocol:details()) -> boolean().
is_prepared(#{node := Node, repository := Repository, path := Path, host := Host,
              backup := Backup, manifest_xxh3_128 := Digest, manifest_bytes := Bytes,
              summary := Summary, affected := Affected, warnings := Warnings}) ->
    lists:all(fun is_binary/1, [Node, Repository, Path, Host, Backup, Digest, Summary])
        andalso is_integer(Bytes)
        andalso is_list(Warnings) andalso lists:all(fun is_binary/1, Warnings)
        andalso is_list(Affected) andalso lists:all(fun is_queue/1, Affected);
is_prepared(_) ->
    false.

-spec is_queue(term()) -> boolean().
is_queue(#{vhost := _, name := _, type := _, leader := _, members := _, present := _,
           effect := _}) ->
    true;
is_queue(_) ->
    false.

-spec prepared(rabbit_hot_backup_part:order()) -> answer().
%% `in_doubt`: only the coordinator's repository shows whether the backup was published. Only an
%% `abandoned` part may be removed: an error may mean that nobody was left to ask.
prepared({publish, Whole}) -> {ok, #{publish => Whole}, #{}};
prepared({commit, Manifest}) -> {ok, #{manifest => Manifest}, #{}};
prepared(in_doubt) -> {ok, #{in_doubt => true}, #{}};
prepared({fail, Error}) -> {ok, #{abandoned => Error}, #{}}.

-spec options([{atom(), term()}], rabbit_hot_backup_cluster:options()) ->
          {ok, rabbit_hot_backup_cluster:options()} | error.
options([], Options) ->
    {ok, Options};
options([{repository, Repository} | Others], Options) when is_binary(Repository) ->
    options(Others, Options#{repository => Repository});
options([{allow_missing, Nodes} | Others], Options) when is_list(Nodes) ->
    case lists:all(fun is_binary/1, Nodes) of
        true -> options(Others, Options#{allow_missing => Nodes});
        false -> error
    end;
options([{max_pause, Time} | Others], Options) when is_integer(Time), Time > 0 ->
    options(Others, Options#{max_pause => Time});
options([{rate_limit, Limit} | Others], Options) when is_integer(Limit), Limit >= 0 ->
    options(Others, Options#{rate_limit => Limit});
options([{lock_patience, Time} | Others], Options) when is_integer(Time), Time >= 0 ->
    options(Others, Options#{lock_patience => Time});
options([{Known, _} | _], _)
  when Known =:= repository; Known =:= allow_missing; Known =:= max_pause; Known =:= rate_limit;
       Known =:= lock_patience ->
    error;
options([_ | Others], Options) ->
    options(Others, Options).

-spec begun(rabbit_hot_backup_cluster:options()) -> answer().
begun(Options) ->
    case rabbit_hot_backup:start_cluster_backup(Options) of
        {ok, Job} -> {ok, #{job => Job}, #{}};
        {error, Error} -> {error, Error}
    end.

-spec given({ok, map()} | {error, rabbit_hot_backup_protocol:error()}) -> answer().
given({ok, Status}) -> {ok, Status, #{}};
given({error, Error}) -> {error, Error}.

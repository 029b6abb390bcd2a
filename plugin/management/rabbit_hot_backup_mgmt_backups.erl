%% Resources of the API: the backups, what is in one, and its protection.
-module(rabbit_hot_backup_mgmt_backups).

-export([methods/1, answer/3]).
-export([find/1]).

-type name() :: backups | backup | queues | files | definitions | protection.

-type reply() :: rabbit_hot_backup_mgmt_reply:answer().

-spec methods(name()) -> [binary()].
methods(backups) -> [<<"HEAD">>, <<"GET">>, <<"POST">>];
methods(backup) -> [<<"HEAD">>, <<"GET">>, <<"DELETE">>];
methods(protection) -> [<<"PUT">>, <<"DELETE">>];
methods(_) -> [<<"HEAD">>, <<"GET">>].

-spec answer(get | post | put | delete, name(), rabbit_hot_backup_mgmt_resource:request()) ->
          reply().
answer(get, backups, #{query := Query}) ->
    case list() of
        {ok, Backups} -> rabbit_hot_backup_mgmt_page:select(Backups, <<"backup">>, Query);
        {error, Error} -> {error, Error}
    end;
answer(post, backups, #{actor := Actor, body := Body}) ->
    case rabbit_hot_backup_mgmt_body:fields(Body, #{}) of
        {ok, #{}} ->
            rabbit_hot_backup_mgmt_jobs:started(rabbit_hot_backup:start_backup(#{actor => Actor}));
        {error, Error} ->
            {error, Error}
    end;
answer(Method, Name, #{bindings := #{id := Id}} = Request) ->
    case find(Id) of
        {ok, Backup} -> of_one(Method, Name, Backup, Request);
        {error, Error} -> {error, Error}
    end.

-spec of_one(get | put | delete, name(), Backup :: binary(),
             rabbit_hot_backup_mgmt_resource:request()) -> reply().
of_one(get, backup, Backup, _) ->
    with_details(Backup, fun(Object) -> {ok, rabbit_hot_backup_json:backup(Object)} end);
of_one(delete, backup, Backup, #{actor := Actor}) ->
    case rabbit_hot_backup:delete(Backup, Actor) of
        ok -> no_content;
        {error, Error} -> not_deleted(Backup, Error)
    end;
of_one(get, queues, Backup, #{query := Query}) ->
    with_details(Backup,
                 fun(Object) ->
                         Queues = rabbit_hot_backup_json:queues(Object),
                         rabbit_hot_backup_mgmt_page:select(Queues, <<"name">>, Query)
                 end);
of_one(get, files, Backup, #{query := Query}) ->
    with_details(Backup,
                 fun(Object) ->
                         Files = rabbit_hot_backup_json:files(Object),
                         rabbit_hot_backup_mgmt_page:select(Files, <<"file">>, Query)
                 end);
of_one(get, definitions, Backup, _) ->
    case rabbit_hot_backup_catalogue:definitions(Backup) of
        {ok, Json} -> {ok_text, Json};
        {error, Error} -> {error, Error}
    end;
of_one(put, protection, Backup, #{body := Body, actor := Actor}) ->
    case rabbit_hot_backup_mgmt_body:fields(Body, #{reason => text}) of
        {ok, Fields} ->
            Reason = maps:get(reason, Fields, <<>>),
            done(rabbit_hot_backup:protect(Backup, Reason, Actor));
        {error, Error} ->
            {error, Error}
    end;
of_one(delete, protection, Backup, #{actor := Actor}) ->
    done(rabbit_hot_backup:unprotect(Backup, Actor)).

-spec find(Id :: binary()) -> {ok, binary()} | {error, rabbit_hot_backup_protocol:error()}.
%% The ID of a backup that there is; `latest` is the newest one. The beginning of an ID, which the
%% program would take, is no name of a resource.
find(Id) ->
    case list() of
        {ok, [#{<<"backup">> := Newest} | _]} when Id =:= <<"latest">> ->
            {ok, Newest};
        {ok, Backups} ->
            case lists:any(fun(#{<<"backup">> := Known}) -> Known =:= Id end, Backups) of
                true -> {ok, Id};
                false -> {error, rabbit_hot_backup_protocol:error(
                                   not_found, "there is no backup ~ts", [Id])}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec list() ->
          {ok, [#{atom() | binary() => term()}]} | {error, rabbit_hot_backup_protocol:error()}.
%% What can be listed, also when something is wrong with some of it: the list says with what. Before
%% the first backup there is no repository.
list() ->
    case rabbit_hot_backup_catalogue:list() of
        {[], #{code := not_found}} -> {ok, []};
        {[], Error} when Error =/= undefined -> {error, Error};
        {Objects, _} -> {ok, rabbit_hot_backup_json:backups(Objects)}
    end.

-spec with_details(Backup :: binary(), fun((rabbit_hot_backup_program:object()) -> reply())) ->
          reply().
with_details(Backup, Use) ->
    case rabbit_hot_backup_catalogue:show(Backup) of
        {ok, Object} -> Use(Object);
        {error, Error} -> {error, Error}
    end.

-spec not_deleted(Backup :: binary(), rabbit_hot_backup_protocol:error()) -> reply().
%% That a backup is protected has no exit code of its own.
not_deleted(Backup, Error) ->
    case list() of
        {ok, Backups} ->
            case [Known || #{<<"backup">> := Known, <<"protected">> := true} <- Backups,
                           Known =:= Backup] of
                [_] -> {conflict, Error};
                [] -> {error, Error}
            end;
        {error, _} ->
            {error, Error}
    end.

-spec done(ok | {error, rabbit_hot_backup_protocol:error()}) -> reply().
done(ok) -> no_content;
done({error, Error}) -> {error, Error}.

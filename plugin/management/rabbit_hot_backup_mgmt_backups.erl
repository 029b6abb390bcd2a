%% Resources of the API: the backups, what is in one, and its protection.
-module(rabbit_hot_backup_mgmt_backups).

-export([methods/1, answer/3]).
-export([find/1]).

-type name() :: backups | backup | queues | files | configuration | log | findings | definitions
              | protection.

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
    case rabbit_hot_backup_mgmt_body:fields(Body, #{this_node => boolean,
                                                    allow_missing => texts}) of
        {ok, Options} ->
            rabbit_hot_backup_mgmt_jobs:started(
              rabbit_hot_backup:start_backup(Options#{actor => Actor}));
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
    case rabbit_hot_backup_contents:show(Backup) of
        {ok, Object} -> {ok, rabbit_hot_backup_json:backup(Object)};
        {error, Error} -> {error, Error}
    end;
of_one(delete, backup, Backup, #{actor := Actor}) ->
    done(rabbit_hot_backup:delete(Backup, Actor));
of_one(get, queues, Backup, #{query := Query}) ->
    page(Backup, "queues", metadata, Query);
of_one(get, files, Backup, #{query := Query}) ->
    page(Backup, "files", files_of(Query), Query);
of_one(get, configuration, Backup, #{query := Query}) ->
    list(Backup, "configuration", files_of(Query));
of_one(get, log, Backup, _) ->
    list(Backup, "log", whole);
of_one(get, findings, Backup, _) ->
    list(Backup, "findings", whole);
of_one(get, definitions, Backup, _) ->
    case rabbit_hot_backup_contents:definitions(Backup) of
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

-spec files_of([{binary(), binary() | true}]) -> {files, Node :: binary()}.
%% Of a cluster's backup each node has its own files.
files_of(Query) ->
    {files, rabbit_hot_backup_mgmt_page:text(<<"node">>, Query, atom_to_binary(node()))}.

-spec page(Backup :: binary(), List :: string(), rabbit_hot_backup_contents:whose(),
           [{binary(), binary() | true}]) -> reply().
%% The program sorts, filters and cuts: the broker never holds more than the page.
page(Backup, List, Whose, Query) ->
    case rabbit_hot_backup_mgmt_page:options(Query) of
        {ok, Range, Options} ->
            case rabbit_hot_backup_contents:list(Backup, List, Whose, Options) of
                {ok, Items, Counts} ->
                    rabbit_hot_backup_mgmt_page:of_part(
                      Range, rabbit_hot_backup_json:items(Items), Counts);
                {error, Error} ->
                    {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec list(Backup :: binary(), List :: string(), rabbit_hot_backup_contents:whose()) -> reply().
%% One that is bounded by what it is.
list(Backup, List, Whose) ->
    case rabbit_hot_backup_contents:list(Backup, List, Whose, []) of
        {ok, Items, _} -> {ok, rabbit_hot_backup_json:items(Items)};
        {error, Error} -> {error, Error}
    end.

-spec find(Id :: binary()) -> {ok, binary()} | {error, rabbit_hot_backup_protocol:error()}.
%% The ID of a backup that there is; `latest` is the newest one that can be read, as it is for the
%% program. The beginning of an ID, which the program would take, is no name of a resource.
find(Id) ->
    case list() of
        {ok, [_ | _] = Backups} when Id =:= <<"latest">> ->
            {ok, latest(Backups)};
        {ok, Backups} ->
            case lists:any(fun(#{<<"backup">> := Known}) -> Known =:= Id end, Backups) of
                true -> {ok, Id};
                false -> {error, rabbit_hot_backup_protocol:error(
                                   not_found, "there is no backup ~ts", [Id])}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec latest([#{atom() | binary() => term()}, ...]) -> Id :: binary().
latest([#{<<"backup">> := Newest} | _] = Backups) ->
    {Unreadable, Readable} = lists:splitwith(fun(Backup) -> maps:is_key(<<"unreadable">>, Backup) end,
                                             Backups),
    case Readable of
        [#{<<"backup">> := Id} | _] ->
            _ = [rabbit_hot_backup_compat:log(
                   warning, "the latest backup is taken to be ~ts: ~ts is newer and cannot be read",
                   [Id, Newer]) || #{<<"backup">> := Newer} <- Unreadable],
            Id;
        [] ->
            Newest
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

-spec done(ok | {error, rabbit_hot_backup_protocol:error()}) -> reply().
done(ok) -> no_content;
done({error, Error}) -> {error, Error}.

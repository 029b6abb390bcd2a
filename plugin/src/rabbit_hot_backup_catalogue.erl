%% What backups there are, and what is done with them that takes too little time to be a job.
%%
%% The program reads and changes the repository. What it said of the list is kept until the
%% repository's directories change: a page that is looked at all day costs nothing.
-module(rabbit_hot_backup_catalogue).

-behaviour(gen_server).

-include_lib("kernel/include/file.hrl").

-export([start_link/0]).
-export([list/0, space/0, show/1, definitions/1, protect/2, unprotect/1, delete/1, prune/2]).
-export([init/1, handle_call/3, handle_cast/2]).

-export_type([listing/0, space/0]).

-type listing() :: {[rabbit_hot_backup_program:object()],
                    rabbit_hot_backup_protocol:error() | undefined}.
%% The objects that `list` prints of backups (docs/json.md), the oldest first; and what was wrong
%% with one of them, or with the repository.

-type space() :: #{free_bytes := non_neg_integer(), total_bytes := non_neg_integer()}.
%% Of the file system that the repository is on.

-type stamp() :: [{file:filename_all(), integer()}] | changing.
%% When the directories changed last, in seconds: of a list that is as old as that nobody knows
%% whether it came before the change or after it.

-record(state, {stamp = changing :: stamp(),
                listing = {[], undefined} :: listing(),
                space = unknown :: space() | unknown,
                read :: integer() | undefined}).  % when, in seconds of the monotonic clock

%% The space changes without the repository: it is asked for again when it is this old, in seconds.
-define(SPACE_AGE, 30).

%% How long the program may take to read manifests, and to remove packs, in milliseconds.
-define(LOOK, 60000).
-define(REMOVE, 600000).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec list() -> listing().
%% One that asks while the list is being read gets the same one.
list() ->
    gen_server:call(?MODULE, list, infinity).

-spec space() -> {ok, space()} | unknown.
%% Half a minute old at most. It is not known when there is no repository yet.
space() ->
    gen_server:call(?MODULE, space, infinity).

-spec show(Backup :: binary()) ->
          {ok, rabbit_hot_backup_program:object()} | {error, rabbit_hot_backup_protocol:error()}.
%% What `show` prints of it.
show(Backup) ->
    case run("show", Backup, [], ?LOOK) of
        {ok, [Object | _]} -> {ok, Object};
        {error, Error} -> {error, Error}
    end.

-spec definitions(Backup :: binary()) ->
          {ok, Json :: binary()} | {error, rabbit_hot_backup_protocol:error()}.
%% What `definitions` prints of it.
definitions(Backup) ->
    case rabbit_hot_backup_program:check_id(Backup) of
        ok -> rabbit_hot_backup_program:print(in_repository("definitions") ++ [Backup], ?LOOK);
        {error, Error} -> {error, Error}
    end.

-spec protect(Backup :: binary(), Reason :: binary()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% The reason may be empty.
protect(Backup, Reason) ->
    done(run("protect", Backup, [["--reason=", Reason] || Reason =/= <<>>], ?LOOK)).

-spec unprotect(Backup :: binary()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
unprotect(Backup) ->
    done(run("unprotect", Backup, [], ?LOOK)).

-spec delete(Backup :: binary()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
delete(Backup) ->
    done(run("delete", Backup, [], ?REMOVE)).

-spec prune([iodata()], dry_run | remove) ->
          {ok, [rabbit_hot_backup_program:object()]}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Removes what the rules, as the program's options, do not keep; or only says what it would remove.
prune(Rules, How) ->
    rabbit_hot_backup_program:run(
      in_repository("prune") ++ Rules ++ ["--dry-run" || How =:= dry_run], ?REMOVE).

-spec run(Command :: string(), Backup :: binary(), [iodata()], pos_integer()) ->
          {ok, [rabbit_hot_backup_program:object()]}
        | {error, rabbit_hot_backup_protocol:error()}.
run(Command, Backup, Options, Milliseconds) ->
    case rabbit_hot_backup_program:check_id(Backup) of
        ok -> rabbit_hot_backup_program:run(in_repository(Command) ++ [Backup | Options],
                                            Milliseconds);
        {error, Error} -> {error, Error}
    end.

-spec in_repository(Command :: string()) -> [iodata()].
in_repository(Command) ->
    [Command, "--repository", rabbit_hot_backup_settings:repository()].

-spec done({ok, term()} | {error, rabbit_hot_backup_protocol:error()}) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
done({ok, _}) -> ok;
done({error, Error}) -> {error, Error}.

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{}}.

-spec handle_call(list | space, gen_server:from(), #state{}) ->
          {reply, listing() | {ok, space()} | unknown, #state{}}.
handle_call(list, _, State) ->
    #state{listing = Listing} = Next = current(State),
    {reply, Listing, Next};
handle_call(space, _, State) ->
    case recent(State) of
        #state{space = unknown} = Next -> {reply, unknown, Next};
        #state{space = Space} = Next -> {reply, {ok, Space}, Next}
    end.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) ->
    {noreply, State}.

-spec current(#state{}) -> #state{}.
current(#state{stamp = Known} = State) ->
    case stamp() of
        Known when Known =/= changing -> State;
        Stamp -> read(Stamp)
    end.

-spec recent(#state{}) -> #state{}.
recent(#state{read = Read} = State) ->
    case Read =/= undefined andalso erlang:monotonic_time(second) - Read =< ?SPACE_AGE of
        true -> State;
        false -> read(stamp())
    end.

-spec read(stamp()) -> #state{}.
read(Stamp) ->
    {Objects, Error} = case rabbit_hot_backup_program:run_all(in_repository("list"), ?LOOK) of
                           {ok, Printed} -> {Printed, undefined};
                           {error, Reason, Printed} -> {Printed, Reason}
                       end,
    {Repository, Backups} = lists:partition(
                              fun(#{<<"message_type">> := Type}) -> Type =:= <<"repository">> end,
                              Objects),
    #state{stamp = Stamp, listing = {Backups, Error}, space = space(Repository),
           read = erlang:monotonic_time(second)}.

-spec space([rabbit_hot_backup_program:object()]) -> space() | unknown.
space([#{<<"free_bytes">> := Free, <<"total_bytes">> := Total}]) ->
    #{free_bytes => Free, total_bytes => Total};
space([]) ->
    unknown.

-spec stamp() -> stamp().
stamp() ->
    Repository = rabbit_hot_backup_settings:repository(),
    Times = [{Path, changed(Path)}
             || Name <- ["manifests", "marks"], Path <- [filename:join(Repository, Name)]],
    Latest = lists:max([Time || {_, Time} <- Times]),
    case os:system_time(second) - Latest of
        Age when Age > 1 -> Times;
        _ -> changing
    end.

-spec changed(file:filename_all()) -> integer().
changed(Path) ->
    case file:read_file_info(Path, [raw, {time, posix}]) of
        {ok, #file_info{mtime = Time}} -> Time;
        {error, _} -> 0
    end.

%% What backups there are, and what is done with them that takes too little time to be a job.
%%
%% The program reads and changes the repository. What it said of the list is kept until the
%% repository's directories change: a page that is looked at all day costs nothing.
-module(rabbit_hot_backup_catalogue).

-behaviour(gen_server).

-export([start_link/0]).
-export([list/0, space/0, show/1, part/3, definitions/1]).
-export([protect/2, unprotect/1, note/3, delete/1, prune/2]).
-export([init/1, handle_call/3, handle_cast/2]).

-export_type([listing/0, space/0, pruning/0]).

-type listing() :: {[rabbit_hot_backup_program:object()],
                    rabbit_hot_backup_protocol:error() | undefined}.
%% The objects that `list` prints of backups (docs/json.md), the oldest first; and what was wrong
%% with one of them, or with the repository.

-type space() :: #{free_bytes := non_neg_integer(), total_bytes := non_neg_integer()}.
%% Of the file system that the repository is on.

-type pruning() :: dry_run | {remove, LockPatience :: non_neg_integer()}.
%% How long another writer of the repository is waited for, in milliseconds.

-type stamp() :: binary() | changing.
%% When the directories changed last, in seconds: of a list that is as old as that nobody knows
%% whether it came before the change or after it.

-record(state, {stamp = changing :: stamp(),
                listing = {[], undefined} :: listing(),
                space = unknown :: space() | unknown,
                read :: integer() | undefined,  % when, in seconds of the monotonic clock
                %% A look at the repository that has not come back.
                stuck :: rabbit_hot_backup_os_process:os_process() | undefined}).

%% The space changes without the repository: it is asked for again when it is this old, in seconds.
-define(SPACE_AGE, 30).

%% How long the program may take to read manifests, and to remove packs, in milliseconds.
-define(LOOK, 60000).
%% And to say when the repository changed last.
-define(GLANCE, 5000).
%% For how long what was wrong with a list is believed, in seconds.
-define(ERROR_AGE, 30).
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
    case ask(list) of
        {error, Error} -> {[], Error};
        Listing -> Listing
    end.

-spec space() -> {ok, space()} | unknown.
%% Half a minute old at most. Of a repository that is not there yet it is that of where it will be.
space() ->
    case ask(space) of
        {error, _} -> unknown;
        Space -> Space
    end.

-spec ask(list | space) -> term() | {error, rabbit_hot_backup_protocol:error()}.
ask(What) ->
    try
        gen_server:call(?MODULE, What, ?LOOK + ?GLANCE)
    catch
        exit:{timeout, _} -> {error, stalled()}
    end.

-spec stalled() -> rabbit_hot_backup_protocol:error().
stalled() ->
    rabbit_hot_backup_protocol:error(
      stalled, "the repository ~ts does not answer", [rabbit_hot_backup_settings:repository()],
      "See whether its disk works, or the network that it is mounted over.").

-spec show(Backup :: binary()) ->
          {ok, rabbit_hot_backup_program:object()} | {error, rabbit_hot_backup_protocol:error()}.
%% What `show` prints of it, without what may be long.
show(Backup) ->
    case look_into(Backup, ["--without=queues,files"]) of
        {ok, Objects} -> {ok, summary(Objects)};
        {error, Error} -> {error, Error}
    end.

-spec part(Backup :: binary(), List :: string(), Options :: [iodata()]) ->
          {ok, [rabbit_hot_backup_program:object()], Counts :: rabbit_hot_backup_program:object()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% A part of one of its lists, as `show --list` prints it. Whoever asks limits it: what is in there
%% may be a hundred thousand queues.
part(Backup, List, Options) ->
    case look_into(Backup, ["--list", List | Options]) of
        {ok, Objects} ->
            Items = [Object || #{<<"message_type">> := Type} = Object <- Objects,
                               Type =/= <<"summary">>],
            {ok, Items, summary(Objects)};
        {error, Error} ->
            {error, Error}
    end.

-spec look_into(Backup :: binary(), [iodata()]) ->
          {ok, [rabbit_hot_backup_program:object()]}
        | {error, rabbit_hot_backup_protocol:error()}.
look_into(Backup, Options) ->
    case rabbit_hot_backup_program:check_id(Backup) of
        ok ->
            Arguments = in_repository("show") ++ [Backup | Options],
            rabbit_hot_backup_turnstile:pass(
              fun() -> rabbit_hot_backup_program:run(Arguments, ?LOOK) end);
        {error, Error} ->
            {error, Error}
    end.

-spec summary([rabbit_hot_backup_program:object()]) -> rabbit_hot_backup_program:object().
summary(Objects) ->
    [Summary] = [Object || #{<<"message_type">> := <<"summary">>} = Object <- Objects],
    Summary.

-spec definitions(Backup :: binary()) ->
          {ok, Json :: binary()} | {error, rabbit_hot_backup_protocol:error()}.
%% What `definitions` prints of it.
definitions(Backup) ->
    case rabbit_hot_backup_program:check_id(Backup) of
        ok ->
            Arguments = in_repository("definitions") ++ [Backup],
            rabbit_hot_backup_turnstile:pass(
              fun() -> rabbit_hot_backup_program:print(Arguments, ?LOOK) end);
        {error, Error} ->
            {error, Error}
    end.

-spec note(Backup :: binary(), Text :: iodata(), When :: integer()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% Writes into its log what happened at that time, in Unix milliseconds.
note(Backup, Text, When) ->
    Time = calendar:system_time_to_rfc3339(When, [{unit, millisecond}, {offset, "Z"}]),
    done(run("note", Backup, ["--when", Time, ["--text=", Text]], ?LOOK)).

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

-spec prune([iodata()], pruning()) ->
          {ok, [rabbit_hot_backup_program:object()]}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Removes what the rules, as the program's options, do not keep; or only says what it would remove.
prune(Rules, dry_run) ->
    rabbit_hot_backup_program:run(in_repository("prune") ++ Rules ++ ["--dry-run"], ?LOOK);
prune(Rules, {remove, LockPatience}) ->
    Patience = ["--retry-lock=", integer_to_list(LockPatience div 1000)],
    rabbit_hot_backup_program:run(in_repository("prune") ++ [Patience | Rules],
                                  LockPatience + ?REMOVE).

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
          {reply, listing() | {ok, space()} | unknown | {error, rabbit_hot_backup_protocol:error()},
           #state{}}.
handle_call(What, _, State) ->
    case up_to_date(What, State) of
        {ok, #state{listing = Listing} = Next} when What =:= list -> {reply, Listing, Next};
        {ok, #state{space = unknown} = Next} -> {reply, unknown, Next};
        {ok, #state{space = Space} = Next} -> {reply, {ok, Space}, Next};
        {stalled, Next} -> {reply, {error, stalled()}, Next}
    end.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) ->
    {noreply, State}.

-spec up_to_date(list | space, #state{}) -> {ok, #state{}} | {stalled, #state{}}.
up_to_date(What, State) ->
    case stamp(State) of
        {ok, Stamp} ->
            case is_current(What, Stamp, State) of
                true -> {ok, State};
                false -> {ok, read(Stamp)}
            end;
        {stuck, Process} ->
            {stalled, State#state{stuck = Process}}
    end.

-spec is_current(list | space, stamp(), #state{}) -> boolean().
is_current(_, _, #state{read = undefined}) ->
    false;
is_current(What, Stamp, #state{stamp = Known, listing = {_, Error}, read = Read}) ->
    Age = erlang:monotonic_time(second) - Read,
    Unchanged = Stamp =:= Known andalso Stamp =/= changing
        andalso (Error =:= undefined orelse Age =< ?ERROR_AGE),
    case What of
        list -> Unchanged;
        space -> Age =< ?SPACE_AGE
    end.

-spec read(stamp()) -> #state{}.
read(Stamp) ->
    {Objects, Error} = case rabbit_hot_backup_program:run_all(in_repository("list"), ?LOOK) of
                           {ok, Printed} -> {Printed, undefined};
                           {error, Reason, Printed} -> {Printed, Reason}
                       end,
    Of = fun(Wanted) -> [Object || #{<<"message_type">> := Type} = Object <- Objects,
                                   Type =:= Wanted] end,
    %% A part in doubt is no backup.
    #state{stamp = Stamp, listing = {Of(<<"summary">>), Error},
           space = space(Of(<<"repository">>)),
           read = erlang:monotonic_time(second)}.

-spec space([rabbit_hot_backup_program:object()]) -> space() | unknown.
space([#{<<"free_bytes">> := Free, <<"total_bytes">> := Total}]) ->
    #{free_bytes => Free, total_bytes => Total};
space([]) ->
    unknown.

-spec stamp(#state{}) -> {ok, stamp()} | {stuck, rabbit_hot_backup_os_process:os_process()}.
%% Another program looks: a file system that does not answer would keep one of the VM's few threads
%% for files. One that hangs is not followed by a second.
stamp(#state{stuck = undefined}) ->
    look();
stamp(#state{stuck = Process}) ->
    case rabbit_hot_backup_os_process:wait(Process, 0) of
        gone -> look();
        running -> {stuck, Process}
    end.

-spec look() -> {ok, stamp()} | {stuck, rabbit_hot_backup_os_process:os_process()}.
look() ->
    Repository = rabbit_hot_backup_settings:repository(),
    Arguments = ["-c", "%.9Y"] ++ [filename:join(Repository, Name)
                                   || Name <- ["manifests", "clusters", "marks"]],
    case rabbit_hot_backup_os_process:output("stat", Arguments, ?GLANCE) of
        {ok, Lines} -> {ok, stamp_of(Lines)};
        {stuck, Process} -> {stuck, Process};
        none -> {ok, changing}
    end.

-spec stamp_of(binary()) -> stamp().
stamp_of(Lines) ->
    %% Of a directory that is not there it prints why.
    Times = case re:run(Lines, "^[0-9]+(?=\\.[0-9]+$)", [global, multiline, {capture, first, binary}]) of
                {match, Found} -> [binary_to_integer(Time) || [Time] <- Found];
                nomatch -> []
            end,
    Latest = lists:max([0 | Times]),
    case os:system_time(second) - Latest of
        Age when Age > 1 -> Lines;
        _ -> changing
    end.

%% What the plugin does and has done: one job at a time, and a bounded history.
%%
%% A job belongs to a session. The session is watched: when it ends before the job did, the job
%% has failed.
-module(rabbit_hot_backup_jobs).

-behaviour(gen_server).

-export([start_link/0]).

%% For those who want a job done.
-export([request/3, fail/2, current/0, history/0]).

%% For the session that does it.
-export([begin_job/2, progress/3, end_job/4]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([id/0, job/0, state/0, outcome/0]).

-type id() :: pos_integer().
%% Rises with every job of this life of the plugin.

-type state() :: requested | running | done | failed | cancelled.
%% `requested`: the program was asked and has not begun yet.

-type outcome() :: #{outcome := done | failed | cancelled,
                     backup => binary(),
                     bytes => non_neg_integer(),
                     error => rabbit_hot_backup_protocol:error()}.

-type job() :: #{id := id(),
                 kind := atom(),
                 state := state(),
                 repository := binary(),
                 session := pid(),
                 requested := integer(),          % Unix times in milliseconds
                 started => integer(),
                 finished => integer(),
                 phase => binary(),
                 progress => {Done :: non_neg_integer(), Total :: non_neg_integer()},  % bytes
                 backup => binary(),
                 bytes => non_neg_integer(),
                 error => rabbit_hot_backup_protocol:error()}.

-define(HISTORY, 100).

-record(jobs, {next = 1 :: id(),
               current :: {job(), Monitor :: reference()} | undefined,
               finished = [] :: [job()]}).  % newest first

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec request(Session :: pid(), Repository :: binary(), Milliseconds :: pos_integer()) ->
          {ok, id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Takes the slot for a backup that the session is going to be asked for. A job that has not begun
%% when the time is up has failed.
request(Session, Repository, Milliseconds) ->
    gen_server:call(?MODULE, {request, Session, Repository, Milliseconds}).

-spec fail(id(), rabbit_hot_backup_protocol:error()) -> ok.
%% The session did not accept what was requested.
fail(Id, Error) ->
    gen_server:call(?MODULE, {fail, Id, Error}).

-spec begin_job(Session :: pid(), #{kind := atom(), repository := binary(), job => id()}) ->
          {ok, id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Takes the slot, or begins the job that was requested from this session under the number `job`.
begin_job(Session, Arguments) ->
    gen_server:call(?MODULE, {begin_job, Session, Arguments}).

-spec progress(Session :: pid(), id(), #{phase := binary(),
                                         progress := {non_neg_integer(), non_neg_integer()}}) -> ok.
progress(Session, Id, Progress) ->
    gen_server:cast(?MODULE, {progress, Session, Id, Progress}).

-spec end_job(Session :: pid(), id(), state(), map()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% Also ends a job that was requested and could not begin.
end_job(Session, Id, State, Details) ->
    gen_server:call(?MODULE, {end_job, Session, Id, State, Details}).

-spec current() -> job() | none.
current() ->
    gen_server:call(?MODULE, current).

-spec history() -> [job()].
%% The finished jobs, the newest first.
history() ->
    gen_server:call(?MODULE, history).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #jobs{}}.
init([]) ->
    {ok, #jobs{}}.

-spec handle_call(term(), gen_server:from(), #jobs{}) -> {reply, term(), #jobs{}}.
handle_call({request, Session, Repository, Milliseconds}, _, #jobs{current = undefined} = Jobs) ->
    {Id, Requested} = take(Session, #{kind => backup, repository => Repository}, Jobs),
    _ = erlang:start_timer(Milliseconds, self(), {begins, Id}),
    {reply, {ok, Id}, Requested};
handle_call({begin_job, Session, #{job := Id}}, _, Jobs) ->
    begin_requested(Session, Id, Jobs);
handle_call({begin_job, Session, Arguments}, _, #jobs{current = undefined} = Jobs) ->
    {Id, Taken} = take(Session, Arguments, Jobs),
    {reply, {ok, Id}, started(Taken)};
handle_call({request, _, _, _}, _, #jobs{current = {Job, _}} = Jobs) ->
    {reply, {error, busy(Job)}, Jobs};
handle_call({begin_job, _, _}, _, #jobs{current = {Job, _}} = Jobs) ->
    {reply, {error, busy(Job)}, Jobs};
handle_call({fail, Id, Error}, _, #jobs{current = {#{id := Id}, _}} = Jobs) ->
    {reply, ok, finish(failed, #{error => Error}, Jobs)};
handle_call({fail, _, _}, _, Jobs) ->
    {reply, ok, Jobs};
handle_call({end_job, Session, Id, State, Details}, _,
            #jobs{current = {#{id := Id, session := Session}, _}} = Jobs) ->
    {reply, ok, finish(State, Details, Jobs)};
handle_call({end_job, _, Id, _, _}, _, Jobs) ->
    {reply, {error, not_yours(Id)}, Jobs};
handle_call(current, _, #jobs{current = undefined} = Jobs) ->
    {reply, none, Jobs};
handle_call(current, _, #jobs{current = {Job, _}} = Jobs) ->
    {reply, Job, Jobs};
handle_call(history, _, #jobs{finished = Finished} = Jobs) ->
    {reply, Finished, Jobs}.

-spec handle_cast({progress, pid(), id(), map()}, #jobs{}) -> {noreply, #jobs{}}.
handle_cast({progress, Session, Id, Progress},
            #jobs{current = {#{id := Id, session := Session} = Job, Monitor}} = Jobs) ->
    {noreply, Jobs#jobs{current = {maps:merge(Job, Progress), Monitor}}};
handle_cast({progress, _, _, _}, Jobs) ->
    {noreply, Jobs}.

-spec handle_info(term(), #jobs{}) -> {noreply, #jobs{}}.
handle_info({'DOWN', Monitor, process, _, Reason}, #jobs{current = {_, Monitor}} = Jobs) ->
    {noreply, finish(failed, #{error => session_error(Reason)}, Jobs)};
handle_info({timeout, _, {begins, Id}},
            #jobs{current = {#{id := Id, state := requested}, _}} = Jobs) ->
    Error = rabbit_hot_backup_protocol:error(
              stalled, "the program did not begin the backup that it was asked for", [],
              "Look at the program's process, and for its last words in the output of the "
              "broker's service."),
    {noreply, finish(failed, #{error => Error}, Jobs)};
handle_info(_, Jobs) ->
    {noreply, Jobs}.

%% ------------------------------------------------------------------

-spec take(pid(), #{kind := atom(), repository := binary()}, #jobs{}) -> {id(), #jobs{}}.
take(Session, #{kind := Kind, repository := Repository}, #jobs{next = Id} = Jobs) ->
    Job = #{id => Id, kind => Kind, state => requested, repository => Repository,
            session => Session, requested => os:system_time(millisecond)},
    {Id, Jobs#jobs{next = Id + 1, current = {Job, erlang:monitor(process, Session)}}}.

-spec started(#jobs{}) -> #jobs{}.
started(#jobs{current = {#{id := Id, kind := Kind, repository := Repository} = Job, Monitor}}
        = Jobs) ->
    rabbit_hot_backup_compat:log(info, "job ~b: ~ts into ~ts begins", [Id, Kind, Repository]),
    Started = Job#{state => running, started => os:system_time(millisecond)},
    Jobs#jobs{current = {Started, Monitor}}.

-spec begin_requested(pid(), id(), #jobs{}) ->
          {reply, {ok, id()} | {error, rabbit_hot_backup_protocol:error()}, #jobs{}}.
begin_requested(Session, Id, #jobs{current = {#{id := Id, session := Session,
                                                state := requested}, _}} = Jobs) ->
    {reply, {ok, Id}, started(Jobs)};
begin_requested(_, Id, Jobs) ->
    {reply, {error, not_yours(Id)}, Jobs}.

-spec finish(state(), map(), #jobs{}) -> #jobs{}.
finish(State, Details, #jobs{current = {Job, Monitor}, finished = Finished} = Jobs) ->
    erlang:demonitor(Monitor, [flush]),
    Known = maps:with([backup, bytes, error], Details),
    Ended = maps:merge(Job, Known#{state => State, finished => os:system_time(millisecond)}),
    report(Ended),
    Jobs#jobs{current = undefined, finished = lists:sublist([Ended | Finished], ?HISTORY)}.

-spec report(job()) -> ok.
report(#{id := Id, state := done} = Job) ->
    rabbit_hot_backup_compat:log(info, "job ~b: backup ~ts is done", [Id, maps:get(backup, Job)]);
report(#{id := Id, state := State} = Job) ->
    Reason = case Job of
                 #{error := Error} -> rabbit_hot_backup_protocol:format_error(Error);
                 _ -> <<"no reason was given.">>
             end,
    Level = case State of
                cancelled -> info;
                _ -> error
            end,
    rabbit_hot_backup_compat:log(Level, "job ~b: ~ts: ~ts", [Id, State, Reason]).

-spec busy(job()) -> rabbit_hot_backup_protocol:error().
busy(#{id := Id, kind := Kind, requested := Requested}) ->
    Since = calendar:system_time_to_rfc3339(Requested, [{unit, millisecond}, {offset, "Z"}]),
    rabbit_hot_backup_protocol:error(
      busy, "another ~ts is running since ~ts (job ~b)", [Kind, Since, Id],
      "Wait until it has finished, or cancel it.").

-spec not_yours(term()) -> rabbit_hot_backup_protocol:error().
not_yours(Id) ->
    rabbit_hot_backup_protocol:error(
      mismatch, "job ~tp is not, or not any more, a job of this session", [Id]).

-spec session_error(term()) -> rabbit_hot_backup_protocol:error().
session_error({shutdown, #{code := _} = Error}) ->
    Error;
session_error(Reason) when Reason =:= shutdown; Reason =:= normal ->
    rabbit_hot_backup_protocol:error(failed, "the plugin was stopped");
session_error(Reason) ->
    rabbit_hot_backup_protocol:error(failed, "the session ended: ~tp", [Reason]).

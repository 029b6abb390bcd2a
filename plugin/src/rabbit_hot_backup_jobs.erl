%% What the plugin does and has done: one job of a sort at a time, and a bounded history.
%%
%% A job belongs to the process that does it, its session: that of an engine, or a task. The session
%% is watched: when it ends before the job did, the job has failed.
-module(rabbit_hot_backup_jobs).

-behaviour(gen_server).

-export([start_link/0]).

%% For those who want a job done.
-export([request/3, fail/2, current/0, running/0, running_in/1, history/0, find/1, subscribe/0]).

%% For the session that does it.
-export([begin_job/2, progress/3, end_job/4, cancelled_for/2]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([id/0, kind/0, job/0, state/0, outcome/0, actor/0, order/0]).

-type id() :: pos_integer().
%% Rises with every job of this life of the plugin.

-type kind() :: backup | verify | drill | restore.

-type slot() :: backup | check | restore.
%% What may run beside each other. A check never keeps a backup from being made.

-type actor() :: #{user := binary(), address => binary()}.
%% Who wants a job done.

-type order() :: #{kind := kind(), repository := binary(), actor => actor(), backup => binary(),
                   part => rabbit_hot_backup_part:part(), job => id()}.
%% `backup`: the one that is checked or restored. `part`: what it is a part of. `job`: one that was
%% requested.

-type state() :: requested | running | done | failed | cancelled.
%% `requested`: the program was asked and has not begun yet.

-type outcome() :: #{outcome := done | failed | cancelled,
                     backup => binary(),
                     bytes => non_neg_integer(),
                     result => map(),
                     findings => [map()],
                     error => rabbit_hot_backup_protocol:error()}.

-type job() :: #{id := id(),
                 kind := kind(),
                 actor => actor(),
                 state := state(),
                 repository := binary(),
                 session := pid(),
                 requested := integer(),          % Unix times in milliseconds
                 started => integer(),
                 finished => integer(),
                 phase => binary(),
                 progress => {Done :: non_neg_integer(), Total :: non_neg_integer()},  % bytes
                 speed => non_neg_integer(),      % bytes a second
                 remaining => non_neg_integer(),  % seconds
                 pace => rabbit_hot_backup_pace:pace(),
                 backup => binary(),
                 part => rabbit_hot_backup_part:part(),
                 nodes => [rabbit_hot_backup_cluster:node_progress()],  % rabbit_hot_backup:job/1
                 cancelled_for => rabbit_hot_backup_protocol:error(),  % while it runs
                 bytes => non_neg_integer(),
                 result => map(),                 % the program's summary, of tasks
                 finding_count => non_neg_integer(),
                 findings => [map()],             % what else the program had to say, of tasks
                 error => rabbit_hot_backup_protocol:error()}.

-define(HISTORY, 100).

-record(jobs, {next = 1 :: id(),
               current = #{} :: #{slot() => {job(), Monitor :: reference()}},
               finished = [] :: [job()],  % newest first, without their findings
               findings = #{} :: #{id() => [map()]},
               subscribers = #{} :: #{pid() => Monitor :: reference()}}).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec request(Session :: pid(), order(), Milliseconds :: pos_integer()) ->
          {ok, id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Takes the slot for a backup that the session is going to be asked for. A job that has not begun
%% when the time is up has failed.
request(Session, Order, Milliseconds) ->
    gen_server:call(?MODULE, {request, Session, Order, Milliseconds}).

-spec fail(id(), rabbit_hot_backup_protocol:error()) -> ok.
%% The session did not accept what was requested.
fail(Id, Error) ->
    gen_server:call(?MODULE, {fail, Id, Error}).

-spec begin_job(Session :: pid(), order()) ->
          {ok, id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Takes the slot, or begins the job that was requested from this session under the number `job`.
begin_job(Session, Order) ->
    gen_server:call(?MODULE, {begin_job, Session, Order}).

-spec progress(Session :: pid(), id(), #{phase := binary(),
                                         progress := {non_neg_integer(), non_neg_integer()}}) -> ok.
progress(Session, Id, Progress) ->
    gen_server:cast(?MODULE, {progress, Session, Id, Progress}).

-spec end_job(Session :: pid(), id(), state(), map()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% Also ends a job that was requested and could not begin.
end_job(Session, Id, State, Details) ->
    gen_server:call(?MODULE, {end_job, Session, Id, State, Details}).

-spec cancelled_for(id(), rabbit_hot_backup_protocol:error()) -> ok.
%% The program is told to cancel the job because of this. Unless somebody wanted it so, the job will
%% not have been cancelled, but have failed.
cancelled_for(Id, Error) ->
    gen_server:cast(?MODULE, {cancelled_for, Id, Error}).

-spec current() -> job() | none.
%% The backup that is being made.
current() ->
    case [Job || #{kind := backup} = Job <- running()] of
        [Job] -> Job;
        [] -> none
    end.

-spec running() -> [job()].
running() ->
    gen_server:call(?MODULE, running).

-spec history() -> [job()].
%% The finished jobs, the newest first. Of findings only their number: there may be a thousand.
history() ->
    gen_server:call(?MODULE, history).

-spec find(id()) -> {ok, job()} | error.
%% One that runs, or of the history, with its findings.
find(Id) ->
    gen_server:call(?MODULE, {find, Id}).

-spec running_in(slot()) -> {ok, job()} | none.
%% The job that is in the way of another one of its slot.
running_in(Slot) ->
    case [Job || #{kind := Kind} = Job <- running(), slot(Kind) =:= Slot] of
        [Job] -> {ok, Job};
        [] -> none
    end.

-spec subscribe() -> ok.
%% From now on the caller gets `{job_began, Job}` and `{job_ended, Job}` for each job. One that could
%% not begin only ends.
subscribe() ->
    gen_server:call(?MODULE, subscribe).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #jobs{}}.
init([]) ->
    {ok, #jobs{}}.

-spec handle_call(term(), gen_server:from(), #jobs{}) -> {reply, term(), #jobs{}}.
handle_call({request, Session, Order, Milliseconds}, _, Jobs) ->
    case take(Session, Order, Jobs) of
        {ok, Id, Requested} ->
            _ = erlang:start_timer(Milliseconds, self(), {begins, Id}),
            {reply, {ok, Id}, Requested};
        {error, Error} ->
            {reply, {error, Error}, Jobs}
    end;
handle_call({begin_job, Session, #{job := Id}}, _, Jobs) ->
    begin_requested(Session, Id, Jobs);
handle_call({begin_job, Session, Order}, _, Jobs) ->
    case take(Session, Order, Jobs) of
        {ok, Id, Taken} -> {reply, {ok, Id}, started(Id, Taken)};
        {error, Error} -> {reply, {error, Error}, Jobs}
    end;
handle_call({fail, Id, Error}, _, Jobs) ->
    case current(Id, Jobs) of
        {ok, _} -> {reply, ok, finish(Id, failed, #{error => Error}, Jobs)};
        error -> {reply, ok, Jobs}
    end;
handle_call({end_job, Session, Id, State, Details}, _, Jobs) ->
    case current(Id, Jobs) of
        {ok, #{session := Session}} -> {reply, ok, finish(Id, State, Details, Jobs)};
        _ -> {reply, {error, not_yours(Id)}, Jobs}
    end;
handle_call(running, _, Jobs) ->
    {reply, running(Jobs), Jobs};
handle_call(history, _, #jobs{finished = Finished} = Jobs) ->
    {reply, Finished, Jobs};
handle_call({find, Id}, _, #jobs{finished = Finished, findings = Findings} = Jobs) ->
    case find(Id, running(Jobs) ++ Finished) of
        {ok, Job} -> {reply, {ok, Job#{findings => maps:get(Id, Findings, [])}}, Jobs};
        error -> {reply, error, Jobs}
    end;
handle_call(subscribe, {Pid, _}, #jobs{subscribers = Subscribers} = Jobs) ->
    Known = case Subscribers of
                #{Pid := _} -> Subscribers;
                #{} -> Subscribers#{Pid => erlang:monitor(process, Pid)}
            end,
    {reply, ok, Jobs#jobs{subscribers = Known}}.

-spec handle_cast({progress, pid(), id(), map()}
                  | {cancelled_for, id(), rabbit_hot_backup_protocol:error()}, #jobs{}) ->
          {noreply, #jobs{}}.
handle_cast({cancelled_for, _, #{code := cancelled}}, Jobs) ->
    {noreply, Jobs};
handle_cast({cancelled_for, Id, Error}, Jobs) ->
    case current(Id, Jobs) of
        {ok, Job} -> {noreply, put_job(Job#{cancelled_for => Error}, Jobs)};
        error -> {noreply, Jobs}
    end;
handle_cast({progress, Session, Id, Progress}, Jobs) ->
    case current(Id, Jobs) of
        {ok, #{session := Session} = Job} ->
            ok = tell_waiting(Job, Progress),
            Now = erlang:monotonic_time(millisecond),
            {noreply, put_job(rabbit_hot_backup_pace:progressed(Job, Progress, Now), Jobs)};
        _ -> {noreply, Jobs}
    end.

-spec handle_info(term(), #jobs{}) -> {noreply, #jobs{}}.
handle_info({'DOWN', Monitor, process, _, Reason},
            #jobs{current = Current, subscribers = Subscribers} = Jobs) ->
    Ended = [Id || {#{id := Id}, Watch} <- maps:values(Current), Watch =:= Monitor],
    Left = maps:filter(fun(_, Watch) -> Watch =/= Monitor end, Subscribers),
    {noreply, lists:foldl(fun(Id, Known) ->
                                  finish(Id, failed, #{error => session_error(Reason)}, Known)
                          end, Jobs#jobs{subscribers = Left}, Ended)};
handle_info({timeout, _, {begins, Id}}, Jobs) ->
    case current(Id, Jobs) of
        {ok, #{state := requested}} ->
            Error = rabbit_hot_backup_protocol:error(
                      stalled, "the program did not begin the backup that it was asked for", [],
                      "Look at the program's process, and for its last words in the output of the "
                      "broker's service."),
            {noreply, finish(Id, failed, #{error => Error}, Jobs)};
        _ ->
            {noreply, Jobs}
    end;
handle_info(_, Jobs) ->
    {noreply, Jobs}.

%% ------------------------------------------------------------------

-spec slot(kind()) -> slot().
slot(backup) -> backup;
slot(verify) -> check;
slot(drill) -> check;
slot(restore) -> restore.

-spec running(#jobs{}) -> [job()].
running(#jobs{current = Current}) ->
    [Job || {Job, _} <- maps:values(Current)].

-spec find(id(), [job()]) -> {ok, job()} | error.
find(Id, Jobs) ->
    case [Job || #{id := Known} = Job <- Jobs, Known =:= Id] of
        [Job] -> {ok, Job};
        [] -> error
    end.

-spec current(id(), #jobs{}) -> {ok, job()} | error.
current(Id, Jobs) ->
    find(Id, running(Jobs)).

-spec put_job(job(), #jobs{}) -> #jobs{}.
put_job(#{kind := Kind} = Job, #jobs{current = Current} = Jobs) ->
    {_, Monitor} = maps:get(slot(Kind), Current),
    Jobs#jobs{current = Current#{slot(Kind) := {Job, Monitor}}}.

-spec take(pid(), order(), #jobs{}) ->
          {ok, id(), #jobs{}} | {error, rabbit_hot_backup_protocol:error()}.
take(Session, #{kind := Kind} = Order, #jobs{next = Id, current = Current} = Jobs) ->
    Slot = slot(Kind),
    case Current of
        #{Slot := {Job, _}} ->
            {error, busy(Job)};
        #{} ->
            Known = maps:with([kind, repository, actor, backup, part], Order),
            Job = Known#{id => Id, state => requested, session => Session,
                         requested => os:system_time(millisecond)},
            Taken = Current#{Slot => {Job, erlang:monitor(process, Session)}},
            {ok, Id, Jobs#jobs{next = Id + 1, current = Taken}}
    end.

-spec started(id(), #jobs{}) -> #jobs{}.
started(Id, Jobs) ->
    {ok, Job} = current(Id, Jobs),
    rabbit_hot_backup_compat:log(info, "job ~b: ~ts begins", [Id, describe(Job)]),
    Running = Job#{state := running, started => os:system_time(millisecond)},
    ok = tell({job_began, Running}, Jobs),
    put_job(Running, Jobs).

-spec tell_waiting(job(), #{phase := binary(), atom() => term()}) -> ok.
%% A job that waits, which may be for an hour, says so once, and when it goes on.
tell_waiting(#{id := Id} = Job, #{phase := Phase}) ->
    case {is_waiting(maps:get(phase, Job, <<>>)), is_waiting(Phase)} of
        {false, true} -> rabbit_hot_backup_compat:log(info, "job ~b: ~ts", [Id, Phase]);
        {true, false} -> rabbit_hot_backup_compat:log(info, "job ~b goes on", [Id]);
        _ -> ok
    end.

-spec is_waiting(Phase :: binary()) -> boolean().
is_waiting(<<"waiting", _/binary>>) -> true;
is_waiting(_) -> false.

-spec tell({job_began | job_ended, job()}, #jobs{}) -> ok.
tell(Message, #jobs{subscribers = Subscribers}) ->
    lists:foreach(fun(Pid) -> Pid ! Message end, maps:keys(Subscribers)).

-spec describe(job()) -> iodata().
describe(#{kind := backup, repository := Repository}) -> ["backup into ", Repository];
describe(#{kind := verify, backup := Backup}) -> ["verification of ", Backup];
describe(#{kind := drill, backup := Backup}) -> ["restore drill of ", Backup];
describe(#{kind := restore, backup := Backup}) -> ["restore of ", Backup].

-spec begin_requested(pid(), id(), #jobs{}) ->
          {reply, {ok, id()} | {error, rabbit_hot_backup_protocol:error()}, #jobs{}}.
begin_requested(Session, Id, Jobs) ->
    case current(Id, Jobs) of
        {ok, #{session := Session, state := requested}} -> {reply, {ok, Id}, started(Id, Jobs)};
        _ -> {reply, {error, not_yours(Id)}, Jobs}
    end.

-spec finish(id(), state(), map(), #jobs{}) -> #jobs{}.
finish(Id, Outcome, Details, #jobs{current = Current, finished = Known, findings = All} = Jobs) ->
    {ok, #{kind := Kind} = Job} = current(Id, Jobs),
    {State, Told} = told(Outcome, maps:with([backup, bytes, result, error], Details), Job),
    {{_, Monitor}, Others} = maps:take(slot(Kind), Current),
    erlang:demonitor(Monitor, [flush]),
    Findings = maps:get(findings, Details, []),
    Ended = maps:merge(maps:remove(cancelled_for, Job), Told#{state => State, finished => os:system_time(millisecond),
                                  finding_count => length(Findings)}),
    report(Ended),
    ok = tell({job_ended, Ended}, Jobs),
    Finished = lists:sublist([Ended | Known], ?HISTORY),
    Kept = [Kept || #{id := Kept} <- Finished],
    Jobs#jobs{current = Others, finished = Finished,
              findings = maps:with(Kept, All#{Id => Findings})}.

-spec told(state(), map(), job()) -> {state(), map()}.
told(cancelled, Details, #{cancelled_for := Error}) -> {failed, Details#{error => Error}};
told(State, Details, _) -> {State, Details}.

-spec report(job()) -> ok.
report(#{id := Id, kind := backup, state := done, backup := Backup}) ->
    rabbit_hot_backup_compat:log(info, "job ~b: backup ~ts is done", [Id, Backup]);
report(#{id := Id, state := done} = Job) ->
    rabbit_hot_backup_compat:log(info, "job ~b: ~ts is done", [Id, describe(Job)]);
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
      busy, "another ~ts is running since ~ts (job ~b)", [name(Kind), Since, Id],
      "Wait until it has finished, or cancel it.").

-spec name(kind()) -> iodata().
name(backup) -> "backup";
name(verify) -> "verification";
name(drill) -> "restore drill";
name(restore) -> "restore".

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

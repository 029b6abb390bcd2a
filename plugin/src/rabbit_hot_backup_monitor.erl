%% What monitoring wants to know: how backups went since the plugin was started, and how the
%% repository is.
%%
%% Everything is in a table, so that whoever looks (metrics/0 is called while Prometheus scrapes)
%% waits for nobody. The repository is looked at when the node has booted, when a job has ended, and
%% every few minutes.
-module(rabbit_hot_backup_monitor).

-behaviour(gen_server).

-export([start_link/0]).

%% Telling.
-export([failed/2, done/1, planned/1]).

%% Asking.
-export([metrics/0, last_failure/0]).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([step/0, failure/0, metrics/0, histogram/0, repository/0]).

-type step() :: backup | verify | drill | restore | prune | hook | space | {skipped, backup | drill}.

-type job() :: backup | verify | drill | restore | prune.

-type reason() :: rabbit_hot_backup_protocol:error_code() | hook | space | skipped.

-type failure() :: #{job := job(),
                     reason := reason(),
                     time := integer(),  % Unix time in milliseconds
                     error := rabbit_hot_backup_protocol:error()}.

-type histogram() :: {[{Bound :: number() | infinity, Count :: non_neg_integer()}],
                      Count :: non_neg_integer(), Sum :: number()}.
%% The counts are cumulative, as Prometheus wants them.

-type repository() :: #{backups := non_neg_integer(),
                        protected := non_neg_integer(),
                        unreadable := non_neg_integer(),
                        bytes := non_neg_integer(),
                        space => rabbit_hot_backup_catalogue:space(),
                        newest => #{instant := float(), seconds := float(),
                                    bytes := non_neg_integer(),
                                    pause_us => non_neg_integer()},
                        newest_verified => float(),                       % its instant
                        checks := #{verify | drill => {Time :: float(), IsGood :: boolean()}}}.
%% `newest`, `newest_verified` and `checks` are about backups of this node; `checks` are the last
%% ones of their sort.

-type metrics() :: #{done := #{job() => non_neg_integer()},
                     failures := #{{job(), reason()} => pos_integer()},
                     unresolved := #{job() => failure()},
                     pauses := histogram(),
                     running := #{rabbit_hot_backup_jobs:kind() => non_neg_integer()},
                     planned := #{backup | drill => rabbit_hot_backup_cron:seconds()},
                     readable := boolean(),
                     repository => repository()}.
%% `unresolved`: the last failures of jobs that nothing of their sort has followed that went well.
%% `readable`: whether the repository could be looked at; if not, `repository` is as it was last.

%% How often the repository is looked at, and whether Prometheus is there, in milliseconds.
-define(LOOK, 300000).
-define(REGISTER, 15000).
-define(BOOTING, 1000).
%% The bounds of the pauses, in seconds.
-define(BOUNDS, [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, infinity]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec failed(step(), rabbit_hot_backup_protocol:error()) -> ok.
%% Something went wrong that is not the end of somebody's job: those are known here.
failed(Step, Error) ->
    gen_server:cast(?MODULE, {failed, Step, Error}).

-spec done(job()) -> ok.
done(Job) ->
    gen_server:cast(?MODULE, {done, Job}).

-spec planned(#{backup | drill => rabbit_hot_backup_cron:seconds()}) -> ok.
%% When something is due next.
planned(Planned) ->
    gen_server:cast(?MODULE, {planned, Planned}).

-spec metrics() -> {ok, metrics()} | none.
%% None while the plugin starts or stops.
metrics() ->
    try ets:lookup(?MODULE, metrics) of
        [{metrics, Metrics}] -> {ok, Metrics};
        [] -> none
    catch
        error:badarg -> none
    end.

-spec last_failure() -> failure() | none.
%% The latest that is not resolved.
last_failure() ->
    case metrics() of
        {ok, #{unresolved := Unresolved}} ->
            Times = [{Time, Failure} || #{time := Time} = Failure <- maps:values(Unresolved)],
            case lists:reverse(lists:keysort(1, Times)) of
                [{_, Failure} | _] -> Failure;
                [] -> none
            end;
        none ->
            none
    end.

%% ------------------------------------------------------------------

-spec init([]) -> {ok, metrics(), {continue, start}}.
init([]) ->
    ?MODULE = ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    ok = rabbit_hot_backup_jobs:subscribe(),
    Metrics = #{done => #{}, failures => #{}, unresolved => #{}, running => #{}, planned => #{},
                pauses => {[{Bound, 0} || Bound <- ?BOUNDS], 0, 0}, readable => true},
    {ok, publish(Metrics), {continue, start}}.

-spec handle_continue(start, metrics()) -> {noreply, metrics()}.
handle_continue(start, Metrics) ->
    self() ! register,
    self() ! look,
    {noreply, Metrics}.

-spec handle_call(term(), gen_server:from(), metrics()) -> {noreply, metrics()}.
handle_call(_, _, Metrics) ->
    {noreply, Metrics}.

-spec handle_cast(term(), metrics()) -> {noreply, metrics()}.
handle_cast({failed, Step, Error}, Metrics) ->
    {Job, Reason} = reason(Step, Error),
    {noreply, publish(with_failure(Job, Reason, Error, Metrics))};
handle_cast({done, Job}, Metrics) ->
    {noreply, publish(with_done(Job, Metrics))};
handle_cast({planned, Planned}, Metrics) ->
    {noreply, publish(Metrics#{planned := Planned})}.

-spec handle_info(term(), metrics()) -> {noreply, metrics()}.
handle_info({job_began, Job}, Metrics) ->
    {noreply, publish(with_running(Job, 1, Metrics))};
handle_info({job_ended, Job}, Metrics) ->
    Known = case Job of
                #{started := _} -> with_running(Job, -1, Metrics);
                #{} -> Metrics
            end,
    Looked = with_repository(with_outcome(Job, Known)),
    {noreply, publish(Looked)};
handle_info(register, Metrics) ->
    ok = rabbit_hot_backup_prometheus:register(),
    _ = erlang:send_after(?REGISTER, self(), register),
    {noreply, Metrics};
handle_info(look, Metrics) ->
    Pause = case rabbit_hot_backup_compat:is_booted() of
                true -> ?LOOK;
                false -> ?BOOTING
            end,
    _ = erlang:send_after(Pause, self(), look),
    {noreply, publish(with_repository(Metrics))};
handle_info(_, Metrics) ->
    {noreply, Metrics}.

-spec publish(metrics()) -> metrics().
publish(Metrics) ->
    true = ets:insert(?MODULE, {metrics, Metrics}),
    Metrics.

%% ------------------------------------------------------------------
%% Jobs

-spec with_running(rabbit_hot_backup_jobs:job(), 1 | -1, metrics()) -> metrics().
with_running(#{kind := Kind}, Change, #{running := Running} = Metrics) ->
    Metrics#{running := Running#{Kind => maps:get(Kind, Running, 0) + Change}}.

-spec with_outcome(rabbit_hot_backup_jobs:job(), metrics()) -> metrics().
with_outcome(#{kind := Kind, state := done} = Job, Metrics) ->
    with_pause(Job, with_done(Kind, Metrics));
with_outcome(#{kind := Kind, state := State} = Job, Metrics) ->
    case is_told_by_run(Job) of
        true -> Metrics;
        false -> with_ended(Kind, State, Job, Metrics)
    end.

-spec is_told_by_run(rabbit_hot_backup_jobs:job()) -> boolean().
%% What becomes of the schedule's jobs is told by the run, on the node that it is on.
is_told_by_run(#{part := #{coordinator := Coordinator}}) when Coordinator =/= node() -> false;
is_told_by_run(#{actor := Actor}) -> Actor =:= rabbit_hot_backup_run:actor();
is_told_by_run(_) -> false.

-spec with_ended(job(), failed | cancelled, rabbit_hot_backup_jobs:job(), metrics()) -> metrics().
with_ended(Kind, cancelled, _, Metrics) ->
    counted(Kind, cancelled, Metrics);
with_ended(Kind, failed, #{error := #{code := Code} = Error}, Metrics) ->
    with_failure(Kind, Code, Error, Metrics).

-spec with_done(job(), metrics()) -> metrics().
with_done(Job, #{done := Done, unresolved := Unresolved} = Metrics) ->
    Metrics#{done := Done#{Job => maps:get(Job, Done, 0) + 1},
             unresolved := maps:remove(Job, Unresolved)}.

-spec with_failure(job(), reason(), rabbit_hot_backup_protocol:error(), metrics()) -> metrics().
with_failure(Job, cancelled, _, Metrics) ->
    %% Somebody wanted it so.
    counted(Job, cancelled, Metrics);
with_failure(Job, Reason, Error, #{unresolved := Unresolved} = Metrics) ->
    Failure = #{job => Job, reason => Reason, time => os:system_time(millisecond), error => Error},
    counted(Job, Reason, Metrics#{unresolved := Unresolved#{Job => Failure}}).

-spec counted(job(), reason(), metrics()) -> metrics().
counted(Job, Reason, #{failures := Failures} = Metrics) ->
    Key = {Job, Reason},
    Metrics#{failures := Failures#{Key => maps:get(Key, Failures, 0) + 1}}.

-spec reason(step(), rabbit_hot_backup_protocol:error()) -> {job(), reason()}.
reason(hook, _) -> {backup, hook};
reason(space, _) -> {backup, space};
reason({skipped, Job}, _) -> {Job, skipped};
reason(Job, #{code := Code}) -> {Job, Code}.

-spec with_pause(rabbit_hot_backup_jobs:job(), metrics()) -> metrics().
with_pause(#{kind := backup, backup := Id}, #{pauses := {Buckets, Count, Sum}} = Metrics) ->
    {Backups, _} = rabbit_hot_backup_catalogue:list(),
    case [Pause || #{<<"backup">> := Known} = Backup <- Backups, Known =:= Id,
                   {ok, Pause} <- [rabbit_hot_backup_listing:pause_us(Backup)]] of
        [Microseconds] ->
            Pause = Microseconds / 1000000,
            %% A number is less than an atom.
            Filled = [{Bound, In + case Pause =< Bound of true -> 1; false -> 0 end}
                      || {Bound, In} <- Buckets],
            Metrics#{pauses := {Filled, Count + 1, Sum + Pause}};
        [] ->
            %% It is in another repository.
            Metrics
    end;
with_pause(_, Metrics) ->
    Metrics.

%% ------------------------------------------------------------------
%% The repository

-spec with_repository(metrics()) -> metrics().
with_repository(Metrics) ->
    case rabbit_hot_backup_compat:is_booted() andalso rabbit_hot_backup_catalogue:list() of
        false -> Metrics;
        {[], #{code := Code}} when Code =/= not_found -> Metrics#{readable := false};
        {Backups, _} -> Metrics#{readable := true, repository => repository(Backups)}
    end.

-spec repository([rabbit_hot_backup_program:object()]) -> repository().
repository(Backups) ->
    Own = rabbit_hot_backup_listing:of_node(Backups),
    maps:merge(
      #{backups => length(Backups),
        protected => length([Backup || #{<<"protected">> := true} = Backup <- Backups]),
        unreadable => length([Backup || #{<<"unreadable">> := _} = Backup <- Backups]),
        bytes => lists:sum([Bytes || #{<<"stored_bytes">> := Bytes} <- Backups]),
        checks => maps:from_list([{verify, Check} || Check <- last_check(<<"verified">>, Own)]
                                 ++ [{drill, Check} || Check <- last_check(<<"booted">>, Own)])},
      maps:from_list(
        [{space, Space} || {ok, Space} <- [rabbit_hot_backup_catalogue:space()]]
        ++ [{newest, newest(Backup)} || {ok, Backup} <- [rabbit_hot_backup_listing:newest(Own)]]
        ++ [{newest_verified, rabbit_hot_backup_listing:instant(Backup)}
            || {ok, Backup} <- [rabbit_hot_backup_listing:newest_verified(Own)]])).

-spec newest(rabbit_hot_backup_program:object()) ->
          #{instant := float(), seconds := float(), bytes := non_neg_integer(),
            pause_us => non_neg_integer()}.
newest(#{<<"bytes">> := Bytes} = Backup) ->
    [Started, Finished] = [rabbit_hot_backup_listing:time(Key, Backup)
                           || Key <- [<<"started">>, <<"finished">>]],
    Known = #{instant => rabbit_hot_backup_listing:instant(Backup),
              seconds => Finished - Started, bytes => Bytes},
    case rabbit_hot_backup_listing:pause_us(Backup) of
        {ok, Pause} -> Known#{pause_us => Pause};
        none -> Known
    end.

-spec last_check(Mark :: binary(), [rabbit_hot_backup_program:object()]) ->
          [{float(), IsGood :: boolean()}].
%% At most one.
last_check(Mark, Backups) ->
    Checks = [{rabbit_hot_backup_listing:time(<<"when">>, Check), maps:get(<<"findings">>, Check) =:= 0}
              || #{Mark := #{<<"when">> := _} = Check} <- Backups],
    lists:sublist(lists:reverse(lists:sort(Checks)), 1).

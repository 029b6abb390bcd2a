%% Begins what is due: scheduled backups and restore drills, and the verification of backups that
%% somebody asked for.
%%
%% It looks at the clock at least once a minute, for the clock may be set. One backup and one drill
%% run at a time: what is due while the one before it still goes on is left out, and that counts as a
%% failure. A backup that was missed while the node was down is made once, when the node has booted.
%%
%% Nothing is remembered here over a restart: what was done is in the repository.
-module(rabbit_hot_backup_schedule).

-behaviour(gen_server).

-export([start_link/0, status/0, run_now/0, verify_later/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([status/0]).

-type kind() :: backup | drill.

-type run() :: kind() | part.
%% `part`: what is left to do for this node's part of a backup that another node's schedule had made.

-type status() :: #{time_zone := local | utc,
                    backup := line(),
                    drill := line()}.

-type line() :: #{schedule := binary() | null,
                  next := rabbit_hot_backup_cron:seconds() | null,
                  running := boolean(),
                  last := #{finished := rabbit_hot_backup_cron:seconds(),
                            outcome := done | failed} | null}.
%% `last`: the last run by schedule since the plugin was started.

-record(state, {plans :: #{kind() => rabbit_hot_backup_plan:plan()},
                runs = #{} :: #{run() => pid()},
                last = #{} :: #{run() => map()},
                booted = false :: boolean(),
                %% The newest that nothing has been done for yet; none or one.
                parts = [] :: [{Backup :: binary(), Coordinator :: node()}],
                %% Backups that are to be verified; the oldest first.
                unverified = [] :: [{binary(), rabbit_hot_backup_jobs:actor()}]}).

%% How often the clock is looked at, in milliseconds; and whether the node has booted.
-define(MINUTE, 60000).
-define(BOOTING, 1000).
%% How long runs may take to end when the plugin is stopped, all of them together.
-define(END, 10000).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec status() -> status().
status() ->
    gen_server:call(?MODULE, status).

-spec verify_later(Backup :: binary()) -> ok.
%% Of a scheduled backup whose run could not wait for it.
verify_later(Backup) ->
    gen_server:cast(?MODULE, {verify_later, Backup, #{user => <<"schedule (later)">>}}).

-spec run_now() -> ok | {error, rabbit_hot_backup_protocol:error()}.
%% Does now what is done by schedule, hooks and retention included.
run_now() ->
    gen_server:call(?MODULE, run_now).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(trap_exit, true),
    ok = rabbit_hot_backup_jobs:subscribe(),
    Offset = rabbit_hot_backup_cron:offset(rabbit_hot_backup_settings:time_zone()),
    Plans = [{Kind, rabbit_hot_backup_plan:new(Schedule, Offset, now_s())}
             || Kind <- [backup, drill],
                {ok, _, Schedule} <- [rabbit_hot_backup_settings:schedule(Kind)]],
    State = #state{plans = maps:from_list(Plans)},
    ok = tell(State),
    self() ! look,
    {ok, State}.

-spec handle_call(status | run_now, gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call(status, _, State) ->
    {reply, #{time_zone => rabbit_hot_backup_settings:time_zone(),
              backup => line(backup, State),
              drill => line(drill, State)}, State};
handle_call(run_now, _, #state{runs = #{backup := _}} = State) ->
    {reply, {error, rabbit_hot_backup_protocol:error(
                      busy, "a scheduled backup is going on", [],
                      "Wait until it has finished.")}, State};
handle_call(run_now, _, State) ->
    {reply, ok, start(backup, backup, State)}.

-spec line(kind(), #state{}) -> line().
line(Kind, #state{plans = Plans, runs = Runs, last = Last}) ->
    {Text, Next} = case {rabbit_hot_backup_settings:schedule(Kind), Plans} of
                       {{ok, Known, _}, #{Kind := Plan}} ->
                           {Known, rabbit_hot_backup_plan:next(Plan)};
                       _ ->
                           {null, null}
                   end,
    #{schedule => Text, next => Next, running => maps:is_key(Kind, Runs),
      last => maps:get(Kind, Last, null)}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({verify_later, Backup, Actor}, #state{unverified = Unverified} = State) ->
    {noreply, verify(State#state{unverified = Unverified ++ [{Backup, Actor}]})};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(look, State) ->
    Next = look(State),
    _ = erlang:send_after(pause(Next), self(), look),
    {noreply, Next};
handle_info({'EXIT', Pid, Reason}, #state{runs = Runs} = State) ->
    Ended = [Kind || {Kind, Run} <- maps:to_list(Runs), Run =:= Pid],
    {noreply, follow(lists:foldl(fun(Run, Left) -> ended(Run, Reason, Left) end, State, Ended))};
handle_info({job_ended, Job}, #state{unverified = Unverified, parts = Parts} = State) ->
    Newest = case to_follow(Job) of
                 [] -> Parts;
                 Part -> Part
             end,
    {noreply, follow(verify(State#state{unverified = Unverified ++ to_verify(Job),
                                        parts = Newest}))};
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{runs = Runs}) ->
    lists:foreach(fun(Run) -> exit(Run, shutdown) end, maps:values(Runs)),
    Deadline = erlang:monotonic_time(millisecond) + ?END,
    lists:foreach(fun(Run) ->
                          receive {'EXIT', Run, _} -> ok
                          after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
                                  exit(Run, kill)
                          end
                  end, maps:values(Runs)).

%% ------------------------------------------------------------------
%% What is due

-spec look(#state{}) -> #state{}.
look(#state{booted = false} = State) ->
    case rabbit_hot_backup_compat:is_booted() of
        true -> look(catch_up(State#state{booted = true}));
        false -> State
    end;
look(#state{plans = Plans} = State) ->
    Now = now_s(),
    Next = maps:fold(fun(Kind, Plan, Known) -> look(Kind, Plan, Now, Known) end, State, Plans),
    ok = tell(Next),
    Next.

-spec look(kind(), rabbit_hot_backup_plan:plan(), rabbit_hot_backup_cron:seconds(), #state{}) ->
          #state{}.
look(Kind, Plan, Now, #state{plans = Plans, runs = Runs} = State) ->
    {What, Next} = rabbit_hot_backup_plan:look(Now, Plan),
    Planned = State#state{plans = Plans#{Kind := Next}},
    case {What, Runs} of
        {wait, _} ->
            Planned;
        {due, #{Kind := _}} ->
            ok = rabbit_hot_backup_monitor:failed({skipped, Kind}, skipped(Kind)),
            Planned;
        {due, _} ->
            start(Kind, case Kind of backup -> due; drill -> drill end, Planned)
    end.

-spec skipped(kind()) -> rabbit_hot_backup_protocol:error().
skipped(Kind) ->
    Name = case Kind of
               backup -> "backup";
               drill -> "restore drill"
           end,
    rabbit_hot_backup_protocol:error(
      busy, "a scheduled ~ts was left out: the one before it is still going on", [Name],
      "See what it waits for, or let it be made less often.").

-spec catch_up(#state{}) -> #state{}.
catch_up(#state{plans = #{backup := Plan}} = State) ->
    IsMissed = fun(Newest) -> rabbit_hot_backup_plan:is_missed(Newest, now_s(), Plan) end,
    start(backup, {missed, IsMissed}, State);
catch_up(State) ->
    State.

-spec start(run(), rabbit_hot_backup_run:order(), #state{}) -> #state{}.
start(Kind, Order, #state{runs = Runs} = State) ->
    State#state{runs = Runs#{Kind => rabbit_hot_backup_run:start_link(Order)}}.

-spec ended(run(), Reason :: term(), #state{}) -> #state{}.
ended(Kind, Reason, #state{runs = Runs, last = Last} = State) ->
    Left = State#state{runs = maps:remove(Kind, Runs)},
    case Reason of
        {shutdown, nothing} ->
            Left;
        {shutdown, Outcome} when Outcome =:= done; Outcome =:= failed ->
            Left#state{last = Last#{Kind => #{finished => now_s(), outcome => Outcome}}};
        _ ->
            Error = rabbit_hot_backup_protocol:error(failed, "the run crashed: ~tp", [Reason]),
            ok = rabbit_hot_backup_monitor:failed(step(Kind), Error),
            Left#state{last = Last#{Kind => #{finished => now_s(), outcome => failed}}}
    end.

-spec step(run()) -> rabbit_hot_backup_monitor:step().
step(part) -> verify;
step(Kind) -> Kind.

-spec pause(#state{}) -> pos_integer().
pause(#state{booted = false}) ->
    ?BOOTING;
pause(#state{plans = Plans}) ->
    Now = now_s(),
    lists:min([?MINUTE | [max(1, rabbit_hot_backup_plan:next(Plan) - Now) * 1000
                          || Plan <- maps:values(Plans)]]).

-spec tell(#state{}) -> ok.
tell(#state{plans = Plans}) ->
    rabbit_hot_backup_monitor:planned(
      maps:map(fun(_, Plan) -> rabbit_hot_backup_plan:next(Plan) end, Plans)).

-spec now_s() -> rabbit_hot_backup_cron:seconds().
now_s() ->
    os:system_time(second).

%% ------------------------------------------------------------------
%% Backups that somebody asked for

-spec to_follow(rabbit_hot_backup_jobs:job()) -> [{Backup :: binary(), Coordinator :: node()}].
%% Of a backup that another node's schedule had made.
to_follow(#{kind := backup, state := done, backup := Backup, actor := Actor,
            part := #{coordinator := Coordinator}}) when Coordinator =/= node() ->
    [{Backup, Coordinator} || Actor =:= rabbit_hot_backup_run:actor()];
to_follow(_) ->
    [].

-spec follow(#state{}) -> #state{}.
%% One after the other.
follow(#state{parts = [{Backup, Coordinator} | Others], runs = Runs} = State)
  when not is_map_key(part, Runs) ->
    start(part, {part, Backup, Coordinator}, State#state{parts = Others});
follow(State) ->
    State.

-spec to_verify(rabbit_hot_backup_jobs:job()) -> [{binary(), rabbit_hot_backup_jobs:actor()}].
%% A scheduled one is verified by a run. One from the command line has nobody who asked the node
%% for it, and may not be readable for RabbitMQ.
to_verify(#{kind := backup, state := done, backup := Backup, actor := Actor,
            repository := Repository}) ->
    case Repository =:= rabbit_hot_backup_settings:repository()
        andalso Actor =/= rabbit_hot_backup_run:actor()
        andalso rabbit_hot_backup_settings:verify_after_backup() of
        true -> [{Backup, Actor}];
        false -> []
    end;
to_verify(_) ->
    [].

-spec verify(#state{}) -> #state{}.
%% One after the other, whenever no other check is running. Each is a job, which tells how it ended.
verify(#state{unverified = []} = State) ->
    State;
verify(#state{unverified = [{Backup, Actor} | Others]} = State) ->
    case rabbit_hot_backup_jobs:running_in(check) of
        {ok, _} ->
            State;
        none ->
            case rabbit_hot_backup:start_verification(Backup, Actor) of
                %% Somebody was as quick: its end comes here, too.
                {error, #{code := busy}} -> State;
                _ -> State#state{unverified = Others}
            end
    end.

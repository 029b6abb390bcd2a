%% A job that the program does without a session: a verification, a restore drill, a restore into
%% this node.
%%
%% The task runs the program, tells its progress to rabbit_hot_backup_jobs, and ends with it. What it
%% found is kept with the job, bounded.
-module(rabbit_hot_backup_task).

-behaviour(gen_server).

-export([start_link/3, cancel/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% What of all that a program has to say is kept. A backup whose disk is failing has a finding for
%% each of its files.
-define(FINDINGS, 1000).
%% How long a program that is to end may clean up: it stops its sandbox and removes it.
-define(CLEAN_UP, 60000).
%% How long it may say nothing, and how often that is looked at. A broker that boots, or a queue that
%% is asked, takes some minutes at most.
-define(SILENCE, 30 * 60000).
-define(LISTEN, 60000).
%% The same when the plugin is stopped, which is not to wait for long.
-define(HURRY, 4000).

-record(state, {job :: rabbit_hot_backup_jobs:id(),
                program :: rabbit_hot_backup_program:program(),
                cancelled = false :: boolean(),
                heard = now_ms() :: integer(),
                result = #{} :: map(),
                %% The latest first.
                findings = [] :: [map()],
                error :: rabbit_hot_backup_protocol:error() | undefined}).

-spec start_link(rabbit_hot_backup_jobs:order(), Arguments :: [iodata()],
                 Asker :: {pid(), reference()}) ->
          {ok, pid()} | {error, term()}.
%% When it returns with ok the asker has been sent `{Reference, JobId}`: a task may be over before
%% anybody could ask it.
start_link(Order, Arguments, Asker) ->
    case gen_server:start_link(?MODULE, {Order, Arguments, Asker}, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec cancel(pid()) -> ok.
%% It is over when its job says so: the program cleans up first.
cancel(Task) ->
    gen_server:cast(Task, cancel).

%% ------------------------------------------------------------------

-spec init({rabbit_hot_backup_jobs:order(), [iodata()], {pid(), reference()}}) ->
          {ok, #state{}} | {stop, {shutdown, rabbit_hot_backup_protocol:error()}}.
init({Order, Arguments, {Asker, Reference}}) ->
    process_flag(trap_exit, true),
    case rabbit_hot_backup_jobs:begin_job(self(), Order) of
        {ok, Job} ->
            case rabbit_hot_backup_program:start(Arguments) of
                {ok, Program} ->
                    Asker ! {Reference, Job},
                    _ = erlang:start_timer(?LISTEN, self(), silence),
                    {ok, #state{job = Job, program = Program}};
                {error, Error} ->
                    ok = rabbit_hot_backup_jobs:end_job(self(), Job, failed, #{error => Error}),
                    {stop, {shutdown, Error}}
            end;
        {error, Error} ->
            {stop, {shutdown, Error}}
    end.

-spec handle_call(term(), gen_server:from(), #state{}) -> {noreply, #state{}}.
handle_call(_, _, State) ->
    {noreply, State}.

-spec handle_cast(cancel, #state{}) -> {noreply, #state{}}.
handle_cast(cancel, #state{cancelled = true} = State) ->
    {noreply, State};
handle_cast(cancel, #state{program = Program} = State) ->
    ok = rabbit_hot_backup_program:interrupt(Program),
    _ = erlang:start_timer(?CLEAN_UP, self(), cancelled),
    {noreply, State#state{cancelled = true}}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, normal, #state{}}.
handle_info({timeout, _, cancelled}, #state{program = Program} = State) ->
    ok = rabbit_hot_backup_program:kill(Program),
    finish(cancelled, State);
handle_info({timeout, _, silence}, #state{program = Program, heard = Heard} = State) ->
    case now_ms() - Heard > ?SILENCE of
        true ->
            ok = rabbit_hot_backup_program:kill(Program),
            finish(failed, State#state{error = silent()});
        false ->
            _ = erlang:start_timer(?LISTEN, self(), silence),
            {noreply, State}
    end;
handle_info(Message, #state{program = Program} = State) ->
    case rabbit_hot_backup_program:received(Message, Program) of
        {printed, #{<<"message_type">> := Type} = Object, Read} ->
            {noreply, printed(Type, Object, State#state{program = Read, heard = now_ms()})};
        {more, Read} ->
            {noreply, State#state{program = Read, heard = now_ms()}};
        {broken, Error} ->
            ok = rabbit_hot_backup_program:kill(Program),
            finish(failed, State#state{error = Error});
        {exited, 0} ->
            finish(done, State);
        {exited, _} when State#state.cancelled ->
            finish(cancelled, State);
        {exited, Code} ->
            finish(failed, exited(Code, State));
        ignored ->
            {noreply, State}
    end.

-spec terminate(term(), #state{}) -> ok.
%% The plugin stops while the program works.
terminate(normal, _) ->
    ok;
terminate(_, #state{program = Program}) ->
    ok = rabbit_hot_backup_program:interrupt(Program),
    rabbit_hot_backup_program:leave(Program, ?HURRY).

%% ------------------------------------------------------------------

-spec printed(Type :: binary(), rabbit_hot_backup_program:object(), #state{}) -> #state{}.
printed(<<"status">>, #{<<"phase">> := Phase, <<"bytes_done">> := Done} = Object,
        #state{job = Job} = State) ->
    Progress = maps:from_list(
                 [{phase, Phase}, {progress, {Done, maps:get(<<"bytes_total">>, Object, 0)}}]
                 ++ [{Key, Value} || {Name, Key} <- [{<<"bytes_per_second">>, speed},
                                                     {<<"seconds_remaining">>, remaining}],
                                     {ok, Value} <- [maps:find(Name, Object)]]),
    ok = rabbit_hot_backup_jobs:progress(self(), Job, Progress),
    State;
printed(<<"summary">>, Object, State) ->
    State#state{result = maps:remove(<<"message_type">>, Object)};
printed(<<"error">>, Object, State) ->
    State#state{error = rabbit_hot_backup_program:error_of(Object)};
printed(_, Object, #state{findings = Findings} = State) when length(Findings) < ?FINDINGS ->
    State#state{findings = [Object | Findings]};
printed(_, _, State) ->
    State.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

-spec silent() -> rabbit_hot_backup_protocol:error().
silent() ->
    rabbit_hot_backup_protocol:error(
      stalled, "the program said nothing for half an hour", [],
      "See whether the disks of the repository and of the scratch directory work.").

-spec exited(Code :: non_neg_integer(), #state{}) -> #state{}.
exited(Code, #state{error = undefined} = State) ->
    State#state{error = rabbit_hot_backup_program:exited(Code)};
exited(_, State) ->
    State.

-spec finish(rabbit_hot_backup_jobs:state(), #state{}) -> {stop, normal, #state{}}.
finish(Outcome, #state{job = Job, result = Result, findings = Findings, error = Error} = State) ->
    Details = maps:from_list([{result, Result}, {findings, lists:reverse(Findings)}]
                             ++ [{error, Error} || Error =/= undefined]),
    ok = rabbit_hot_backup_jobs:end_job(self(), Job, Outcome, Details),
    {stop, normal, State}.

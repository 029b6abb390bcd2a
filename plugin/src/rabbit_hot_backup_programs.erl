%% Watches over every program that the plugin runs: none outlives the process that it was started
%% for, nor the plugin.
%%
%% A port that is closed does not end its program, which may go on for an hour deleting backups. So
%% each is known here with its owner. When the plugin stops they are ended before anything else of it
%% is, all at once: whoever waits for one is free then.
-module(rabbit_hot_backup_programs).

-behaviour(gen_server).

-export([start_link/0, watch/1, forget/1, end_all/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

%% How long one may clean up, in milliseconds: a sandbox has to be stopped and removed.
-define(CLEAN_UP, 60000).
%% The same when the plugin stops, which is not to wait for long; and how long one may take to be
%% gone when it has been killed.
-define(HURRY, 4000).
-define(DEATH, 3000).

-record(state, {watched = #{} :: #{Owner :: reference() => rabbit_hot_backup_os_process:os_process()},
                is_stopping = false :: boolean()}).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec watch(rabbit_hot_backup_os_process:os_process()) -> {ok, reference()} | stopping.
%% The program is the caller's. `stopping`: the plugin is being stopped, or is not there.
watch(Process) ->
    try
        gen_server:call(?MODULE, {watch, self(), Process})
    catch
        exit:_ -> stopping
    end.

-spec forget(reference()) -> ok.
%% It has ended.
forget(Watch) ->
    gen_server:cast(?MODULE, {forget, Watch}).

-spec end_all() -> ok.
%% From now on no program is begun. Returns when all have ended.
end_all() ->
    gen_server:call(?MODULE, end_all, infinity).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #state{}}.
init([]) ->
    process_flag(trap_exit, true),
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call({watch, _, _}, _, #state{is_stopping = true} = State) ->
    {reply, stopping, State};
handle_call({watch, Owner, Process}, _, #state{watched = Watched} = State) ->
    Watch = erlang:monitor(process, Owner),
    {reply, {ok, Watch}, State#state{watched = Watched#{Watch => Process}}};
handle_call(end_all, _, #state{watched = Watched} = State) ->
    ok = end_now(maps:values(Watched)),
    {reply, ok, State#state{watched = #{}, is_stopping = true}}.

-spec handle_cast({forget, reference()}, #state{}) -> {noreply, #state{}}.
handle_cast({forget, Watch}, #state{watched = Watched} = State) ->
    erlang:demonitor(Watch, [flush]),
    {noreply, State#state{watched = maps:remove(Watch, Watched)}}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Watch, process, _, _}, #state{watched = Watched} = State) ->
    case Watched of
        #{Watch := Process} ->
            ok = rabbit_hot_backup_os_process:interrupt(Process),
            _ = erlang:send_after(?CLEAN_UP, self(), {abandoned, Watch}),
            {noreply, State};
        #{} ->
            {noreply, State}
    end;
handle_info({abandoned, Watch}, #state{watched = Watched} = State) ->
    case maps:take(Watch, Watched) of
        {Process, Others} ->
            ok = rabbit_hot_backup_os_process:kill(Process),
            {noreply, State#state{watched = Others}};
        error ->
            {noreply, State}
    end;
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{watched = Watched}) ->
    end_now(maps:values(Watched)).

-spec end_now([rabbit_hot_backup_os_process:os_process()]) -> ok.
end_now(Processes) ->
    lists:foreach(fun rabbit_hot_backup_os_process:interrupt/1, Processes),
    Left = left_after(?HURRY, Processes),
    lists:foreach(fun rabbit_hot_backup_os_process:kill/1, Left),
    _ = left_after(?DEATH, Left),
    ok.

-spec left_after(Milliseconds :: pos_integer(), [rabbit_hot_backup_os_process:os_process()]) ->
          [rabbit_hot_backup_os_process:os_process()].
%% Those that have not ended by then. They share the time.
left_after(Milliseconds, Processes) ->
    Deadline = erlang:monotonic_time(millisecond) + Milliseconds,
    [Process || Process <- Processes,
                rabbit_hot_backup_os_process:wait(
                  Process, max(0, Deadline - erlang:monotonic_time(millisecond))) =:= running].

%% Lets one process at a time look into backups for somebody's page: reading one costs a core and
%% some memory for a second, and a page that is opened in ten browsers must not cost ten of it.
-module(rabbit_hot_backup_turnstile).

-behaviour(gen_server).

-export([start_link/0, pass/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% How many may wait, and how long in milliseconds.
-define(MOST_WAITING, 32).
-define(PATIENCE, 30000).

-record(state, {inside :: reference() | undefined,  % the monitor of who is in
                waiting = queue:new() :: queue:queue({gen_server:from(), Until :: integer()})}).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec pass(fun(() -> Result)) -> Result | {error, rabbit_hot_backup_protocol:error()}.
%% Has the caller do it when its turn comes. Error stalled: that would take too long.
pass(Look) ->
    %% The turnstile answers in time; the time limit is for one that was killed or is not there.
    try gen_server:call(?MODULE, enter, ?PATIENCE + 5000) of
        {ok, Watch} ->
            try Look()
            after gen_server:cast(?MODULE, {leave, Watch})
            end;
        full ->
            {error, full()}
    catch
        exit:{_, {gen_server, call, [?MODULE | _]}} -> {error, full()}
    end.

-spec full() -> rabbit_hot_backup_protocol:error().
full() ->
    rabbit_hot_backup_protocol:error(
      stalled, "too many want to look into backups at the same time", [],
      "Try again in a moment.").

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{}}.

-spec handle_call(enter, gen_server:from(), #state{}) ->
          {reply, {ok, reference()} | full, #state{}} | {noreply, #state{}}.
handle_call(enter, {Pid, _}, #state{inside = undefined} = State) ->
    Watch = erlang:monitor(process, Pid),
    {reply, {ok, Watch}, State#state{inside = Watch}};
handle_call(enter, From, #state{waiting = Waiting} = State) ->
    case queue:len(Waiting) < ?MOST_WAITING of
        true ->
            _ = erlang:send_after(?PATIENCE, self(), look),
            {noreply, State#state{waiting = queue:in({From, now_ms() + ?PATIENCE}, Waiting)}};
        false ->
            {reply, full, State}
    end.

-spec handle_cast({leave, reference()}, #state{}) -> {noreply, #state{}}.
handle_cast({leave, Watch}, #state{inside = Watch} = State) ->
    erlang:demonitor(Watch, [flush]),
    {noreply, next(State)};
handle_cast({leave, _}, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Watch, process, _, _}, #state{inside = Watch} = State) ->
    {noreply, next(State)};
handle_info(look, #state{waiting = Waiting} = State) ->
    %% The first has waited longest.
    case queue:peek(Waiting) of
        {value, {From, Until}} ->
            case now_ms() >= Until of
                true ->
                    gen_server:reply(From, full),
                    handle_info(look, State#state{waiting = queue:drop(Waiting)});
                false ->
                    {noreply, State}
            end;
        empty ->
            {noreply, State}
    end;
handle_info(_, State) ->
    {noreply, State}.

-spec next(#state{}) -> #state{}.
next(#state{waiting = Waiting} = State) ->
    case queue:out(Waiting) of
        {{value, {{Pid, _} = From, _}}, Others} ->
            %% One that is gone by now leaves at once.
            Watch = erlang:monitor(process, Pid),
            gen_server:reply(From, {ok, Watch}),
            State#state{inside = Watch, waiting = Others};
        {empty, _} ->
            State#state{inside = undefined}
    end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

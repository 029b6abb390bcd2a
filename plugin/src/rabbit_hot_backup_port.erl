%% Keeps the program running that the broker starts as its port, and tells how it is.
%%
%% Nothing that the program does reaches the broker: a program that is missing, that dies or that
%% hangs costs a warning in the log and a later attempt, after a pause that doubles from a second
%% to a minute as long as attempts fail. The session ends a program that does not keep to the
%% protocol.
-module(rabbit_hot_backup_port).

-behaviour(gen_server).

-export([start_link/0, session/0, status/0]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([status/0]).

-type status() :: #{state := disabled | starting | up | waiting,
                    executable := binary(),
                    failures := non_neg_integer(),
                    session => pid(),
                    program => rabbit_hot_backup_protocol:details(),
                    error => rabbit_hot_backup_protocol:error()}.
%% `program` is what the program said of itself; `error` why the last one is gone, as long as none
%% is up; `failures` counts since the last one that lived long enough.

-define(FIRST_PAUSE, 1000).
-define(LONGEST_PAUSE, 60000).
%% A program that has lived this long is a good one: what happens to it later is a new story.
-define(LONG_ENOUGH, 60000).

-record(state, {state :: disabled | starting | up | waiting,
                session :: {pid(), Monitor :: reference()} | undefined,
                program = #{} :: rabbit_hot_backup_protocol:details(),
                up_since = 0 :: integer(),
                failures = 0 :: non_neg_integer(),
                pause = ?FIRST_PAUSE :: pos_integer(),
                timer :: reference() | undefined,
                error :: rabbit_hot_backup_protocol:error() | undefined,
                %% The failure that the log knows of already.
                logged :: rabbit_hot_backup_protocol:error() | undefined,
                %% Who waits for a session.
                callers = [] :: [gen_server:from()]}).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec session() -> {ok, pid()} | {error, rabbit_hot_backup_protocol:error()}.
%% A session with a program that has said hello. During a pause between attempts a new one is made
%% at once: whoever asks may just have repaired what was wrong.
session() ->
    gen_server:call(?MODULE, session, infinity).

-spec status() -> status().
status() ->
    gen_server:call(?MODULE, status).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, #state{}, {continue, start}}.
init([]) ->
    {ok, #state{state = waiting}, {continue, start}}.

-spec handle_continue(start, #state{}) -> {noreply, #state{}}.
handle_continue(start, State) ->
    case application:get_env(rabbitmq_hot_backup, port) of
        {ok, false} -> {noreply, State#state{state = disabled}};
        _ -> {noreply, start(State)}
    end.

-spec handle_call(session | status, gen_server:from(), #state{}) ->
          {reply, term(), #state{}} | {noreply, #state{}}.
handle_call(session, _, #state{state = up, session = {Session, _}} = State) ->
    {reply, {ok, Session}, State};
handle_call(session, _, #state{state = disabled} = State) ->
    Error = rabbit_hot_backup_protocol:error(
              failed, "the broker does not start the program on this node", [],
              "Set `port` of rabbitmq_hot_backup to true, or run rabbitmq-hot-backup create."),
    {reply, {error, Error}, State};
handle_call(session, From, #state{state = starting, callers = Callers} = State) ->
    {noreply, State#state{callers = [From | Callers]}};
handle_call(session, From, #state{state = waiting, callers = Callers} = State) ->
    {noreply, start(State#state{callers = [From | Callers]})};
handle_call(status, _, State) ->
    {reply, report(State), State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({timeout, Timer, start}, #state{timer = Timer} = State) ->
    {noreply, start(State)};
handle_info({session_up, Session, Info}, #state{session = {Session, _}} = State) ->
    {noreply, up(Info, State)};
handle_info({'DOWN', Monitor, process, _, Reason}, #state{session = {_, Monitor}} = State) ->
    {noreply, down(Reason, State#state{session = undefined})};
handle_info(_, State) ->
    {noreply, State}.

%% ------------------------------------------------------------------

-spec start(#state{}) -> #state{}.
start(#state{timer = Timer} = State) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= undefined],
    Options = #{target => {stdio, rabbit_hot_backup_settings:executable()}, manager => self()},
    case rabbit_hot_backup_session_sup:start_session(Options) of
        {ok, Session} ->
            State#state{state = starting, timer = undefined,
                        session = {Session, erlang:monitor(process, Session)}};
        {error, Error} ->
            failed(Error, State)
    end.

-spec up(rabbit_hot_backup_protocol:details(), #state{}) -> #state{}.
up(Info, #state{session = {Session, _}, callers = Callers, failures = Failures} = State) ->
    _ = [rabbit_hot_backup_compat:log(info, "the program runs again (failures before: ~b)",
                                      [Failures]) || Failures > 0],
    lists:foreach(fun(From) -> gen_server:reply(From, {ok, Session}) end, Callers),
    State#state{state = up, program = Info, callers = [], error = undefined,
                up_since = erlang:monotonic_time(millisecond)}.

-spec down(term(), #state{}) -> #state{}.
down(Reason, #state{state = Was, up_since = Since} = State) ->
    Lived = erlang:monotonic_time(millisecond) - Since,
    case Was =:= up andalso Lived >= ?LONG_ENOUGH of
        true ->
            failed(error_of(Reason),
                   State#state{failures = 0, pause = ?FIRST_PAUSE, logged = undefined});
        false ->
            failed(error_of(Reason), State)
    end.

-spec failed(rabbit_hot_backup_protocol:error(), #state{}) -> #state{}.
%% One failure that repeats itself is one warning.
failed(Error, #state{pause = Pause, failures = Failures, callers = Callers} = State) ->
    _ = [rabbit_hot_backup_compat:log(
           warning, "~ts It is tried again and again until it runs.",
           [rabbit_hot_backup_protocol:format_error(Error)]) || Error =/= State#state.logged],
    lists:foreach(fun(From) -> gen_server:reply(From, {error, Error}) end, Callers),
    State#state{state = waiting, error = Error, logged = Error, program = #{}, callers = [],
                failures = Failures + 1, pause = min(2 * Pause, ?LONGEST_PAUSE),
                timer = erlang:start_timer(Pause, self(), start)}.

-spec error_of(term()) -> rabbit_hot_backup_protocol:error().
error_of({shutdown, #{code := _} = Error}) ->
    Error;
error_of(Reason) ->
    rabbit_hot_backup_protocol:error(failed, "the session with the program ended: ~tp", [Reason]).

-spec report(#state{}) -> status().
report(#state{state = Name, session = Session, program = Program, failures = Failures,
              error = Error}) ->
    Always = #{state => Name,
               executable => rabbit_hot_backup_compat:path(rabbit_hot_backup_settings:executable()),
               failures => Failures},
    Sometimes = [{session, element(1, Session)} || Session =/= undefined]
        ++ [{program, Program} || Name =:= up]
        ++ [{error, Error} || Error =/= undefined],
    maps:merge(Always, maps:from_list(Sometimes)).

%% One conversation with an engine: docs/protocol.md from the plugin's side.
%%
%% What the engine sends arrives at the holder, which hands it on. The session is always ready to
%% hear: it never sends by itself (the writer does) and does nothing that takes long (a worker
%% does). It takes the engine's requests one
%% after the other, answers them in that order, and lets a stream flow as fast as the engine
%% acknowledges. Its one clock (see patience/1) ends it when the engine is silent although it is
%% the engine's turn.
%%
%% When a session ends, everything of it ends: the program, the checkpoint
%% (rabbit_hot_backup_checkpoints watches), the job (rabbit_hot_backup_jobs watches), the run that
%% feeds the stream. The exit reason is `{shutdown, Error}`, with the error that the job's history
%% shows.
-module(rabbit_hot_backup_session).

-behaviour(gen_server).

%% For an engine that attaches from outside.
-export([attach/1]).

%% For the rest of the plugin.
-export([start_link/1, request/4, cancel/2]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([options/0]).

-type options() :: #{target := rabbit_hot_backup_carrier:target(),
                     manager => pid()}.
%% The manager hears `{session_up, Session, Info}` after the hellos; the session ends with it.

%% Each side gives the other this long for its hello.
-define(GREETING, 10000).
%% With no common version the engine may read our hello before the connection is closed.
-define(PARTING, 2000).
%% A program that is idle is asked this often whether it lives, and may take that long to answer.
-define(PING_EVERY, 10000).
-define(PING_ANSWER, 30000).
%% An engine that works for a job may be deep in a sync of its disk; it reports progress now and
%% then.
-define(JOB_SILENCE, 10 * 60 * 1000).
%% Messages that have arrived and are not looked at. An engine acknowledges what it got, at the
%% most.
-define(MOST_UNREAD, 1000).

%% A process that works for the session: the run that feeds the stream, for one.
-record(run, {pid :: pid(), monitor :: reference()}).

-type phase() ::
        greeting
      | {greeted, #run{}, [rabbit_hot_backup_protocol:version()],
         rabbit_hot_backup_protocol:details()}
      | open
      | {parting, rabbit_hot_backup_protocol:error()}.
%% `greeted`: the engine has said hello; the process finds out what there is to say of the node.

-record(state, {carrier :: rabbit_hot_backup_carrier:carrier(),
                holder :: pid(),
                writer :: rabbit_hot_backup_writer:writer(),
                manager :: {pid(), reference()} | undefined,
                phase = greeting :: phase(),
                %% Requests of the engine.
                requests = rabbit_hot_backup_requests:new() ::
                    rabbit_hot_backup_requests:requests(),
                %% Requests of ours.
                last_id = 0 :: rabbit_hot_backup_protocol:id(),
                asked = #{} :: #{rabbit_hot_backup_protocol:id() =>
                                     {Operation :: atom(), gen_server:from() | nobody,
                                      Timer :: reference()}},
                %% What the engine holds.
                job :: rabbit_hot_backup_jobs:id() | undefined,
                part :: rabbit_hot_backup_part:id() | undefined,
                checkpoint :: rabbit_hot_backup_operations:checkpoint() | undefined,
                stream :: rabbit_hot_backup_stream:stream() | undefined,
                run :: #run{} | undefined,
                clock = rabbit_hot_backup_clock:new() :: rabbit_hot_backup_clock:clock()}).

%% ------------------------------------------------------------------

-spec attach(pid()) -> {ok, pid()} | {error, rabbit_hot_backup_protocol:error()}.
%% Called by RPC from an engine that has connected as a hidden node. The pid is its own; the answer
%% is the session's holder, which it is to talk to.
attach(Pid) when is_pid(Pid) ->
    try rabbit_hot_backup_session_sup:start_session(#{target => {distribution, Pid}}) of
        {ok, Session} -> {ok, gen_server:call(Session, holder, infinity)};
        {error, Error} -> {error, Error}
    catch
        exit:{Reason, _} when Reason =:= noproc; Reason =:= shutdown ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the plugin rabbitmq_hot_backup does not run on ~ts", [node()],
                      "Enable it: rabbitmq-plugins enable rabbitmq_hot_backup.")}
    end.

-spec start_link(options()) -> {ok, pid()} | {error, term()}.
start_link(Options) ->
    case gen_server:start_link(?MODULE, Options, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec request(pid(), atom(), rabbit_hot_backup_protocol:details(), pos_integer()) ->
          {ok, rabbit_hot_backup_protocol:details()} | {error, rabbit_hot_backup_protocol:error()}.
%% Asks the engine and waits for its answer. An engine that does not answer in time loses its
%% session.
request(Session, Operation, Arguments, Milliseconds) ->
    try
        gen_server:call(Session, {request, Operation, Arguments, Milliseconds}, infinity)
    catch
        exit:{{shutdown, #{code := _} = Error}, _} -> {error, Error};
        exit:{_, _} -> {error, rabbit_hot_backup_protocol:error(failed, "the session has ended")}
    end.

-spec cancel(pid(), rabbit_hot_backup_jobs:id()) -> ok.
%% Asks the engine to give up a job.
cancel(Session, Job) ->
    gen_server:cast(Session, {cancel, Job}).

%% ------------------------------------------------------------------

-spec init(options()) -> {ok, #state{}} | {stop, {shutdown, rabbit_hot_backup_protocol:error()}}.
init(#{target := Target} = Options) ->
    process_flag(trap_exit, true),
    case rabbit_hot_backup_holder:start_link(Target) of
        {ok, Holder, Carrier} ->
            Manager = case Options of
                          #{manager := Pid} -> {Pid, erlang:monitor(process, Pid)};
                          _ -> undefined
                      end,
            {ok, watch(#state{carrier = Carrier, holder = Holder,
                              writer = rabbit_hot_backup_writer:start_link(Carrier),
                              manager = Manager})};
        {error, Error} ->
            {stop, {shutdown, Error}}
    end.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {noreply, #state{}} | {reply, term(), #state{}} | {stop, term(), #state{}}.
handle_call({request, Operation, Arguments, Milliseconds}, From, #state{phase = open} = State) ->
    noreply(fun() -> ask(Operation, Arguments, Milliseconds, From, State) end, State);
handle_call({request, _, _, _}, _, State) ->
    {reply, {error, rabbit_hot_backup_protocol:error(failed, "the program is not ready yet")},
     State};
handle_call({hand_over, Run, What}, From, #state{run = #run{pid = Run}} = State) ->
    noreply(fun() -> feed(What, From, State) end, State);
handle_call({hand_over, _, _}, _, State) ->
    {reply, {error, ended}, State};
handle_call(holder, _, #state{holder = Holder} = State) ->
    {reply, Holder, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
handle_cast({cancel, Job}, State) ->
    noreply(fun() -> send({notice, cancel, #{job => Job}}, State) end, State).

-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
handle_info({carried, Message}, State) ->
    noreply(fun() -> hear(Message, State) end, State);
handle_info({timeout, Timer, What}, State) when is_reference(Timer) ->
    noreply(fun() -> timeout(What, Timer, State) end, State);
handle_info({'DOWN', Monitor, process, _, _}, #state{manager = {_, Monitor}} = State) ->
    {stop, shutdown, State};
handle_info({'DOWN', Monitor, process, _, Reason},
            #state{phase = {greeted, #run{monitor = Monitor}, _, _}} = State) ->
    noreply(fun() -> greet(Reason, State) end, State);
handle_info({'DOWN', Monitor, process, _, Reason}, #state{run = #run{monitor = Monitor}} = State) ->
    noreply(fun() -> ran(Reason, State) end, State);
handle_info({'DOWN', Monitor, process, _, Reason}, #state{requests = Requests} = State) ->
    case rabbit_hot_backup_requests:finished(Monitor, Reason, Requests) of
        {Request, Answer, Others} ->
            noreply(fun() -> work(answer(Request, Answer, State#state{requests = Others})) end,
                    State);
        unknown ->
            {noreply, State}
    end;
handle_info({'EXIT', Holder, Reason}, #state{holder = Holder} = State) ->
    Error = rabbit_hot_backup_protocol:error(
              failed, "the process that holds the program's connection ended: ~tp", [Reason]),
    {stop, {shutdown, Error}, State};
handle_info({'EXIT', Pid, Reason}, State) when is_pid(Pid) ->
    %% The writer; gen_server looks after the supervisor.
    {stop, Reason, State};
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), #state{}) -> ok.
%% A program that misbehaved is killed. One that may go gets time to clean up.
terminate(Reason, #state{carrier = Carrier} = State) ->
    _ = stop_run(State),
    _ = [exit(Pid, kill) || {greeted, #run{pid = Pid}, _, _} <- [State#state.phase]],
    ok = rabbit_hot_backup_requests:stop(State#state.requests),
    How = case Reason of
              {shutdown, #{code := _}} -> kill;
              _ -> leave
          end,
    rabbit_hot_backup_carrier:close(Carrier, How).

-spec noreply(fun(() -> #state{}), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
%% Every step of the session goes through here: whatever finds that the session cannot go on
%% throws its error.
noreply(Step, State) ->
    try
        {noreply, watch(Step())}
    catch
        throw:{end_session, #{code := _} = Error} -> {stop, {shutdown, Error}, State}
    end.

-spec end_session(rabbit_hot_backup_protocol:error()) -> no_return().
end_session(Error) ->
    throw({end_session, Error}).

-spec end_session(rabbit_hot_backup_protocol:error_code(), io:format(), [term()]) -> no_return().
end_session(Code, Format, Arguments) ->
    end_session(rabbit_hot_backup_protocol:error(Code, Format, Arguments)).

-spec send(rabbit_hot_backup_protocol:message(), #state{}) -> #state{}.
send(Message, #state{writer = Writer} = State) ->
    case rabbit_hot_backup_writer:send(Writer, Message) of
        ok -> State;
        {error, flooded} ->
            end_session(failed, "the program asks and does not read the answers", [])
    end.

-spec timeout(term(), reference(), #state{}) -> #state{}.
timeout(clock, Timer, #state{clock = Clock} = State) ->
    case rabbit_hot_backup_clock:ring(Timer, Clock) of
        {ok, Going} -> State#state{clock = Going};
        {silent, Mode, Limit, Stopped} -> silent(Mode, Limit, State#state{clock = Stopped})
    end;
timeout(request, Timer, #state{requests = Requests} = State) ->
    case rabbit_hot_backup_requests:expired(Timer, Requests) of
        {Request, Others} -> work(not_done(Request, State#state{requests = Others}));
        unknown -> State
    end;
timeout({asked, Id}, Timer, State) ->
    unanswered(Id, Timer, State).

%% ------------------------------------------------------------------
%% Hearing

-spec hear(term(), #state{}) -> #state{}.
hear(Received, #state{carrier = Carrier} = State) ->
    case rabbit_hot_backup_carrier:received(Received, Carrier) of
        {messages, Messages, Next} ->
            not_flooded(),
            lists:foldl(fun message/2, State#state{carrier = Next}, Messages);
        {closed, Error} ->
            case State#state.phase of
                {parting, Reason} -> end_session(Reason);
                _ -> end_session(Error)
            end;
        {broken, Error} ->
            end_session(Error);
        ignored ->
            State
    end.

-spec not_flooded() -> ok.
%% What comes from elsewhere may queue up here too and is no fault of the engine. The holder does
%% nothing but hand on, so what the engine sends too much is here and not there.
not_flooded() ->
    {message_queue_len, Length} = process_info(self(), message_queue_len),
    case Length > ?MOST_UNREAD andalso unread() > ?MOST_UNREAD of
        true -> end_session(failed, "the program sends more than can be read", []);
        false -> ok
    end.

-spec unread() -> non_neg_integer().
unread() ->
    {messages, Messages} = process_info(self(), messages),
    length([carried || {carried, _} <- Messages]).

-spec message(rabbit_hot_backup_protocol:incoming(), #state{}) -> #state{}.
message({hello, Versions, Info}, #state{phase = greeting} = State) ->
    %% The metadata store is asked, which may be busy.
    {Pid, Monitor} = spawn_monitor(fun() -> exit({info, rabbit_hot_backup_describe:info()}) end),
    State#state{phase = {greeted, #run{pid = Pid, monitor = Monitor}, Versions, Info}};
message(_, #state{phase = {parting, _}} = State) ->
    State;
message(Message, #state{phase = Phase}) when Phase =/= open; element(1, Message) =:= hello ->
    end_session(failed, "the program sent a ~ts when the protocol does not have it",
                [element(1, Message)]);
message({ack, Stream, Sequence}, State) ->
    acknowledged(Stream, Sequence, State);
message({request, Id, Milliseconds, Operation, Arguments}, State) ->
    case rabbit_hot_backup_requests:take(Id, Milliseconds, Operation, Arguments,
                                         State#state.requests) of
        {ok, Requests} -> work(alive(State#state{requests = Requests}));
        {error, Error} -> end_session(Error)
    end;
message({reply, Id, Outcome, Details}, State) ->
    answered(Id, Outcome, Details, alive(State));
message({notice, progress, Details}, State) ->
    progressed(Details, alive(State));
message({notice, _, _}, State) ->
    alive(State).

-spec greet({info, rabbit_hot_backup_protocol:details()} | term(), #state{}) -> #state{}.
greet({info, Ours}, #state{phase = {greeted, _, Versions, Theirs}} = State) ->
    Greeted = send({hello, rabbit_hot_backup_protocol:versions(), Ours}, State),
    case rabbit_hot_backup_protocol:agree(Versions) of
        {ok, _} ->
            announce(Theirs, State),
            heard(Greeted#state{phase = open});
        {error, Error} ->
            Greeted#state{phase = {parting, Error}}
    end;
greet(Reason, _) ->
    end_session(failed, "the plugin could not describe its node: ~tp", [Reason]).

-spec announce(rabbit_hot_backup_protocol:details(), #state{}) -> ok.
announce(Info, #state{manager = {Manager, _}}) ->
    Manager ! {session_up, self(), Info},
    ok;
announce(_, #state{manager = undefined}) ->
    ok.

-spec progressed(rabbit_hot_backup_protocol:details(), #state{}) -> #state{}.
progressed(#{job := Job, phase := Phase, done := Done, total := Total},
           #state{job = Job, part = Part} = State)
  when is_binary(Phase), is_integer(Done), is_integer(Total) ->
    ok = rabbit_hot_backup_jobs:progress(self(), Job,
                                         #{phase => Phase, progress => {Done, Total}}),
    _ = [rabbit_hot_backup_part:progressed(Part, {Phase, Done, Total}) || Part =/= undefined],
    State;
progressed(_, State) ->
    State.

%% ------------------------------------------------------------------
%% Requests of ours

-spec ask(atom(), rabbit_hot_backup_protocol:details(), pos_integer(),
          gen_server:from() | nobody, #state{}) -> #state{}.
ask(Operation, Arguments, Milliseconds, From, #state{last_id = Last, asked = Asked} = State) ->
    Id = Last + 1,
    Timer = erlang:start_timer(Milliseconds, self(), {asked, Id}),
    send({request, Id, Milliseconds, Operation, Arguments},
         State#state{last_id = Id, asked = Asked#{Id => {Operation, From, Timer}}}).

-spec answered(rabbit_hot_backup_protocol:id(), ok | error, map(), #state{}) -> #state{}.
%% An answer that came too late finds nobody.
answered(Id, Outcome, Details, #state{asked = Asked} = State) ->
    case maps:take(Id, Asked) of
        {{_, From, Timer}, Others} ->
            _ = erlang:cancel_timer(Timer),
            tell(From, {Outcome, Details}),
            State#state{asked = Others};
        error ->
            State
    end.

-spec unanswered(rabbit_hot_backup_protocol:id(), reference(), #state{}) -> #state{}.
%% While a job runs the engine may be busy; whether it still gets on is for patience/1 to judge.
unanswered(Id, Timer, #state{asked = Asked, job = Job} = State) ->
    case Asked of
        #{Id := {Operation, From, Timer}} ->
            Error = rabbit_hot_backup_protocol:error(
                      stalled, "the program did not answer a ~ts in time", [Operation],
                      "Look at the program's process, and at the disk that the repository is on."),
            tell(From, {error, Error}),
            case Job of
                undefined -> end_session(Error);
                _ -> State#state{asked = maps:remove(Id, Asked)}
            end;
        _ ->
            State
    end.

-spec tell(gen_server:from() | nobody, term()) -> ok.
tell(nobody, _) -> ok;
tell(From, Answer) -> gen_server:reply(From, Answer).

%% ------------------------------------------------------------------
%% Requests of the engine

-spec work(#state{}) -> #state{}.
%% The next request, if none is in hand.
work(#state{requests = Requests} = State) ->
    case rabbit_hot_backup_requests:next(Requests) of
        {none, Others} -> State#state{requests = Others};
        {Request, Others} -> work(operate(Request, State#state{requests = Others}))
    end.

-spec operate(rabbit_hot_backup_requests:request(), #state{}) -> #state{}.
operate(#{operation := Operation, arguments := Arguments} = Request,
        #state{holder = Holder, part = Part, checkpoint = Checkpoint} = State) ->
    Context = #{session => self(), holder => Holder, part => Part, checkpoint => Checkpoint},
    case rabbit_hot_backup_operations:plan(Operation, Arguments, Context) of
        {later, Fun} -> start_work(Fun, Request, State);
        {now, Answer} -> answer(Request, Answer, State);
        {stream, Stream, Source} -> start_stream(Stream, Source, Request, State);
        {end_checkpoint, Fun} ->
            Error = rabbit_hot_backup_protocol:error(
                      cancelled, "the checkpoint was ended before the stream was complete"),
            start_work(Fun, Request, end_stream(Error, State))
    end.

-spec start_work(fun(() -> rabbit_hot_backup_operations:answer()),
                 rabbit_hot_backup_requests:request(), #state{}) -> #state{}.
start_work(Fun, Request, #state{requests = Requests} = State) ->
    State#state{requests = rabbit_hot_backup_requests:start(Fun, Request, Requests)}.

-spec answer(rabbit_hot_backup_requests:request(), rabbit_hot_backup_operations:answer(),
             #state{}) -> #state{}.
answer(#{id := Id}, {ok, Result, Changes}, State) ->
    send({reply, Id, ok, Result}, heard(maps:fold(fun change/3, State, Changes)));
answer(#{id := Id} = Request, {error, Error}, State) ->
    send({reply, Id, error, Error}, not_done(Request, State)).

-spec change(atom(), term(), #state{}) -> #state{}.
change(job, Job, State) -> State#state{job = Job};
change(part, Part, State) -> State#state{part = Part};
change(checkpoint, Checkpoint, State) -> State#state{checkpoint = Checkpoint}.

-spec not_done(rabbit_hot_backup_requests:request(), #state{}) -> #state{}.
%% The request has failed, or was given up. A checkpoint that is activated nevertheless would be
%% nobody's.
not_done(#{operation := checkpoint_begin}, #state{checkpoint = undefined} = State) ->
    ok = rabbit_hot_backup_checkpoints:release(self()),
    heard(State);
not_done(_, State) ->
    heard(State).

%% ------------------------------------------------------------------
%% The stream

-spec start_stream(rabbit_hot_backup_protocol:stream_id(), rabbit_hot_backup_operations:source(),
                   rabbit_hot_backup_requests:request(), #state{}) -> #state{}.
start_stream(Id, Source, Request, #state{stream = Stream} = State) ->
    case Stream =:= undefined orelse rabbit_hot_backup_stream:is_ended(Stream) of
        true ->
            start_run(Id, Source, answer(Request, {ok, #{}, #{}}, stop_run(State)));
        false ->
            answer(Request, {error, rabbit_hot_backup_protocol:error(
                                      busy, "a stream of this session is not over yet")}, State)
    end.

-spec start_run(rabbit_hot_backup_protocol:stream_id(), rabbit_hot_backup_operations:source(),
                #state{}) -> #state{}.
start_run(Id, Source, State) ->
    {Pid, Monitor} = rabbit_hot_backup_operations:start_run(Source, self()),
    State#state{stream = rabbit_hot_backup_stream:new(Id),
                run = #run{pid = Pid, monitor = Monitor}}.

-spec feed(rabbit_hot_backup_metadata:delivery(), gen_server:from(), #state{}) -> #state{}.
feed({payload, Payload, Items}, From, #state{stream = Stream} = State) ->
    flow(State#state{stream = rabbit_hot_backup_stream:add(Payload, Items, From, Stream)});
feed(complete, From, #state{stream = Stream} = State) ->
    tell(From, ok),
    complete(flow(State#state{stream = rabbit_hot_backup_stream:finish(Stream)})).

-spec flow(#state{}) -> #state{}.
%% Sends what the window allows; whose payload has left may bring the next one.
flow(#state{stream = Stream} = State) ->
    {Messages, Left, Flushed} = rabbit_hot_backup_stream:flush(Stream),
    Sent = lists:foldl(fun send/2, State#state{stream = Flushed}, Messages),
    lists:foreach(fun(From) -> tell(From, ok) end, Left),
    Sent.

-spec acknowledged(rabbit_hot_backup_protocol:stream_id(), rabbit_hot_backup_protocol:sequence(),
                   #state{}) -> #state{}.
%% An acknowledgement of a stream that is over means nothing any more.
acknowledged(Id, Sequence, #state{stream = Stream} = State) when Stream =/= undefined ->
    case rabbit_hot_backup_stream:id(Stream) of
        Id ->
            Before = rabbit_hot_backup_stream:outstanding(Stream),
            case rabbit_hot_backup_stream:acknowledge(Sequence, Stream) of
                {ok, Acknowledged} ->
                    Flowing = flow(State#state{stream = Acknowledged}),
                    case rabbit_hot_backup_stream:outstanding(Acknowledged) < Before of
                        true -> heard(complete(Flowing));
                        false -> Flowing
                    end;
                {error, Error} ->
                    end_session(Error)
            end;
        _ ->
            State
    end;
acknowledged(_, _, State) ->
    State.

-spec complete(#state{}) -> #state{}.
complete(#state{stream = Stream} = State) ->
    case rabbit_hot_backup_stream:is_complete(Stream) of
        true -> State#state{stream = undefined};
        false -> State
    end.

-spec ran(term(), #state{}) -> #state{}.
%% The run's process is over. When it gave everything, the last delivery says so: it comes from
%% another process and need not be here yet, so the run stays known by its pid.
ran(complete, State) ->
    State;
ran({failed, Error}, State) ->
    end_stream(Error, State#state{run = undefined});
ran(Reason, State) ->
    end_stream(rabbit_hot_backup_operations:unreadable(Reason), State#state{run = undefined}).

-spec end_stream(rabbit_hot_backup_protocol:error(), #state{}) -> #state{}.
%% Tells the engine, unless it has got everything.
end_stream(Error, #state{stream = Stream} = State) when Stream =/= undefined ->
    Stopped = stop_run(State),
    case rabbit_hot_backup_stream:is_ended(Stream) of
        true -> Stopped;
        false -> send({stream_abort, rabbit_hot_backup_stream:id(Stream), Error}, Stopped)
    end;
end_stream(_, State) ->
    stop_run(State).

-spec stop_run(#state{}) -> #state{}.
%% The process that the run has in a call of ours gets an answer, which makes it give up.
stop_run(#state{stream = Stream, run = Run} = State) ->
    case Run of
        #run{pid = Pid, monitor = Monitor} ->
            erlang:demonitor(Monitor, [flush]),
            exit(Pid, kill);
        undefined -> true
    end,
    _ = [tell(From, {error, ended})
         || Stream =/= undefined, From <- rabbit_hot_backup_stream:waiting(Stream)],
    State#state{stream = undefined, run = undefined}.

%% ------------------------------------------------------------------
%% The clock

-spec watch(#state{}) -> #state{}.
watch(#state{clock = Clock} = State) ->
    {Mode, Limit} = patience(State),
    State#state{clock = rabbit_hot_backup_clock:set(Mode, Limit, Clock)}.

-spec patience(#state{}) -> {Mode :: atom(), rabbit_hot_backup_clock:limit()}.
%% What the engine may be silent about now, and how long. It is its turn whenever we do nothing
%% that it waits for.
patience(#state{phase = greeting}) -> {greeting, ?GREETING};
patience(#state{phase = {greeted, _, _, _}}) -> {greeted, ?GREETING};
patience(#state{phase = {parting, _}}) -> {parting, ?PARTING};
patience(#state{requests = Requests} = State) ->
    case rabbit_hot_backup_requests:is_busy(Requests) of
        true -> {working, infinity};
        false -> patience_with(State)
    end.

-spec patience_with(#state{}) -> {Mode :: atom(), rabbit_hot_backup_clock:limit()}.
patience_with(#state{stream = Stream, run = Run}) when Stream =/= undefined ->
    case rabbit_hot_backup_stream:outstanding(Stream) of
        0 when Run =/= undefined -> {working, infinity};
        _ -> {streaming, rabbit_hot_backup_settings:stall_timeout()}
    end;
patience_with(#state{checkpoint = Checkpoint}) when Checkpoint =/= undefined ->
    {holding, rabbit_hot_backup_settings:stall_timeout()};
patience_with(#state{job = Job}) when Job =/= undefined -> {job, ?JOB_SILENCE};
patience_with(#state{asked = Asked}) when map_size(Asked) > 0 -> {asking, infinity};
patience_with(#state{manager = undefined}) -> {attached, infinity};
patience_with(_) -> {idle, ?PING_EVERY}.

-spec heard(#state{}) -> #state{}.
heard(#state{clock = Clock} = State) ->
    State#state{clock = rabbit_hot_backup_clock:heard(Clock)}.

-spec alive(#state{}) -> #state{}.
%% The engine has sent something. While data is on its way only acknowledgements count.
alive(#state{clock = Clock} = State) ->
    case rabbit_hot_backup_clock:mode(Clock) of
        streaming -> State;
        _ -> heard(State)
    end.

-spec silent(atom(), pos_integer(), #state{}) -> #state{}.
silent(idle, _, State) ->
    ask(ping, #{}, ?PING_ANSWER, nobody, State);
silent(parting, _, #state{phase = {parting, Error}}) ->
    end_session(Error);
silent(greeting, Milliseconds, _) ->
    end_session(rabbit_hot_backup_protocol:error(
                  failed, "the program did not say hello within ~b s", [Milliseconds div 1000],
                  "Check that the setting `executable` of rabbitmq_hot_backup names the program "
                  "rabbitmq-hot-backup."));
silent(greeted, Milliseconds, _) ->
    end_session(rabbit_hot_backup_protocol:error(
                  failed, "the plugin could not describe its node within ~b s",
                  [Milliseconds div 1000],
                  "Check that RabbitMQ's metadata store answers on this node."));
silent(streaming, Milliseconds, _) ->
    stalled("nothing was acknowledged for ~b s", Milliseconds);
silent(_, Milliseconds, _) ->
    stalled("the program was silent for ~b s", Milliseconds).

-spec stalled(string(), pos_integer()) -> no_return().
stalled(Format, Milliseconds) ->
    end_session(rabbit_hot_backup_protocol:error(
                  stalled, Format, [Milliseconds div 1000],
                  "Look at the program's process, and at the disk that the repository is on.")).

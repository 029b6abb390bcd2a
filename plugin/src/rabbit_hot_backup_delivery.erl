%% Brings the messages of one transfer into one queue: docs/protocol.md, "Delivering".
%%
%% An engine hands over batches, each with the position of its first message; the messages go to
%% the queue as fast as it takes them, and what it confirms is counted here. A batch is answered
%% when it is taken, so that the engine brings the next one while the queue works. At most a window
%% of messages is unconfirmed. While the cluster blocks its publishers nothing is taken.
%%
%% The process outlives the session of its engine for an hour. An engine that was cut off, and
%% comes back with the same transfer, is told the position of the first message that the queue does
%% not have; those behind it that it has nevertheless are not delivered again. A new process then
%% takes over: quorum queues know a publisher by its pid and would take its first messages for
%% ones that they have.
-module(rabbit_hot_backup_delivery).

-behaviour(gen_server).

-export([start_link/3, open/3, append_part/4, deliver/4, close/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([key/0, memory/0, position/0, progress/0]).

-type key() :: {Transfer :: binary(), VHost :: binary(), Queue :: binary()}.
-type position() :: non_neg_integer().
%% Of a message among those of the transfer, from 0.

-type progress() :: #{taken := non_neg_integer(), confirmed := position(), alarms := [binary()]}.
%% `confirmed`: the queue has all messages before this position.

-type memory() :: #{confirmed := position(), beyond := #{position() => true},
                    uncertain := non_neg_integer()}.
%% What an earlier process leaves: `beyond` are confirmed although one before them is not. So many
%% messages from `confirmed` on are `uncertain`: those that the queue was given and has not
%% confirmed are among them.

%% Unconfirmed bytes and messages above which no batch is taken. A classic queue may confirm as
%% rarely as five times a second, however fast it is.
-define(WINDOW_BYTES, 16 * 1024 * 1024).
-define(WINDOW_MESSAGES, 16000).
%% How long an engine waits for room in the window, or for the last confirms; it may ask again.
-define(PATIENCE, 2000).
%% How long a queue may take to confirm what a lost engine had handed over.
-define(SETTLE, 30000).
%% How long the process remembers for an engine that is gone.
-define(MEMORY, 60 * 60 * 1000).
%% The longest body that RabbitMQ can be configured to take.
-define(LONGEST_BODY, 512 * 1024 * 1024).

-record(waiting, {from :: gen_server:from(),
                  messages :: [rabbit_hot_backup_delivery_compat:message()] | leave,
                  timer :: reference()}).

-record(state, {key :: key(),
                target :: rabbit_hot_backup_delivery_compat:target(),
                session :: {pid(), Monitor :: reference()} | undefined,
                memory :: reference() | undefined,
                %% The next message to be handed to the queue.
                next = 0 :: position(),
                %% What is taken and not handed to the queue yet, from `next` on: the rest of a
                %% batch.
                taken = [] :: [rabbit_hot_backup_delivery_compat:message()],
                %% The next message that the engine is to send.
                expected = 0 :: position(),
                %% The first that is not confirmed.
                confirmed = 0 :: position(),
                unconfirmed = #{} :: #{position() => Bytes :: non_neg_integer()},
                bytes = 0 :: non_neg_integer(),
                beyond = #{} :: #{position() => true},
                %% The end of what was uncertain when an earlier process left.
                uncertain_end = 0 :: position(),
                part = [] :: iodata(),
                failure :: rabbit_hot_backup_protocol:error() | undefined,
                deleted = false :: boolean(),
                waiting :: #waiting{} | undefined}).

-spec start_link(key(), Session :: pid(), memory()) -> {ok, pid()} | {error, term()}.
start_link(Key, Session, Memory) ->
    case gen_server:start_link(?MODULE, {Key, Session, Memory}, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec open(key(), Session :: pid(), position()) ->
          {ok, #{type := binary(), identity := binary(), position := position(),
                 known := boolean(), deleted := boolean(), uncertain := non_neg_integer()}}
        | {error, rabbit_hot_backup_protocol:error()}.
%% The position counts if no earlier engine has begun this delivery. If one has (`known`) the answer
%% has the true one, exact but for the messages that are uncertain. If the queue of that one was
%% `deleted` it is 0: whichever has the name now has none of the messages.
open(Key, Session, Position) ->
    case rabbit_hot_backup_delivery_sup:find_delivery(Key) of
        {ok, Earlier} ->
            case call(Earlier, leave) of
                {ok, Left} ->
                    ok = rabbit_hot_backup_delivery_sup:end_delivery(Key),
                    begin_after(Left, Key, Session);
                {error, Error} ->
                    {error, Error}
            end;
        error ->
            begin_with(empty_memory(Position), #{known => false, deleted => false}, Key, Session)
    end.

-spec begin_after(memory() | deleted, key(), Session :: pid()) ->
          {ok, map()} | {error, rabbit_hot_backup_protocol:error()}.
begin_after(deleted, Key, Session) ->
    begin_with(empty_memory(0), #{known => false, deleted => true}, Key, Session);
begin_after(Memory, Key, Session) ->
    begin_with(Memory, #{known => true, deleted => false}, Key, Session).

-spec begin_with(memory(), #{known := boolean(), deleted := boolean()}, key(), Session :: pid()) ->
          {ok, map()} | {error, rabbit_hot_backup_protocol:error()}.
begin_with(#{confirmed := Confirmed, uncertain := Uncertain} = Memory, Earlier, Key, Session) ->
    case rabbit_hot_backup_delivery_sup:start_delivery(Key, Session, Memory) of
        {ok, Pid} ->
            {Type, Identity} = call(Pid, queue),
            {ok, Earlier#{type => Type, identity => Identity, position => Confirmed,
                          uncertain => Uncertain}};
        {error, Error} ->
            {error, Error}
    end.

-spec empty_memory(position()) -> memory().
empty_memory(Position) -> #{confirmed => Position, beyond => #{}, uncertain => 0}.

-spec append_part(key(), Session :: pid(), position(), binary()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% The beginning of the body of the next message, which is too long for one request.
append_part(Key, Session, Position, Bytes) ->
    call(Key, {part, Session, Position, Bytes}).

-spec deliver(key(), Session :: pid(), position(),
              [rabbit_hot_backup_delivery_compat:message()]) ->
          {ok, progress()} | {error, rabbit_hot_backup_protocol:error()}.
%% Without messages it waits until everything is confirmed.
deliver(Key, Session, Position, Messages) ->
    call(Key, {deliver, Session, Position, Messages}).

-spec close(key(), Session :: pid()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
%% The transfer is complete and need not be remembered.
close(Key, Session) ->
    call(Key, {close, Session}).

-spec call(pid() | key(), term()) -> term().
call(Pid, Request) when is_pid(Pid) ->
    try
        gen_server:call(Pid, Request, infinity)
    catch
        exit:{Reason, _} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the delivery ended: ~tp", [Reason])}
    end;
call(Key, Request) ->
    case rabbit_hot_backup_delivery_sup:find_delivery(Key) of
        {ok, Pid} -> call(Pid, Request);
        error -> {error, rabbit_hot_backup_protocol:error(
                           failed, "this delivery was not begun, or has ended")}
    end.

%% ------------------------------------------------------------------

-spec init({key(), Session :: pid(), memory()}) ->
          {ok, #state{}} | {stop, {shutdown, rabbit_hot_backup_protocol:error()}}.
init({{_, VHost, Queue} = Key, Session,
      #{confirmed := Confirmed, beyond := Beyond, uncertain := Uncertain}}) ->
    case rabbit_hot_backup_delivery_compat:open(VHost, Queue) of
        {ok, Target} ->
            {ok, #state{key = Key, target = Target,
                        session = {Session, erlang:monitor(process, Session)},
                        next = Confirmed, expected = Confirmed, confirmed = Confirmed,
                        beyond = Beyond,
                        uncertain_end = Confirmed + Uncertain}};
        {error, not_found} ->
            {stop, {shutdown, no_queue(Key)}}
    end.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, term(), #state{}} | {noreply, #state{}} | {stop, normal, ok, #state{}}.
handle_call(queue, _, #state{target = Target} = State) ->
    {reply, {rabbit_hot_backup_delivery_compat:type(Target),
             rabbit_hot_backup_delivery_compat:identity(Target)}, State};
handle_call(leave, From, #state{session = undefined, waiting = undefined} = State) ->
    {noreply, attempt(wait(From, leave, ?SETTLE, State))};
handle_call({part, Session, Position, Bytes}, _, #state{session = {Session, _}} = State) ->
    {Reply, Taken} = part(Position, Bytes, State),
    {reply, Reply, Taken};
handle_call({deliver, Session, Position, Messages}, From,
            #state{session = {Session, _}, waiting = undefined} = State) ->
    case Messages =:= [] orelse Position =:= State#state.expected of
        true -> {noreply, attempt(wait(From, Messages, ?PATIENCE, State))};
        false -> {reply, {error, out_of_step(Position, State)}, State}
    end;
handle_call({close, Session}, _, #state{session = {Session, _}} = State) ->
    {stop, normal, ok, State};
handle_call(_, _, #state{key = {_, VHost, Queue}} = State) ->
    {reply, {error, rabbit_hot_backup_protocol:error(
                      busy, "queue ~ts in vhost ~ts gets messages of this transfer by another "
                      "session", [Queue, VHost], "Wait until that one has ended.")}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(Event, State) ->
    {noreply, attempt(event(Event, State))}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, normal, #state{}}.
handle_info({'DOWN', Monitor, process, Session, _}, #state{session = {Session, Monitor}} = State) ->
    _ = [erlang:cancel_timer(Timer) || #waiting{timer = Timer} <- [State#state.waiting]],
    Timer = erlang:start_timer(?MEMORY, self(), memory),
    {noreply, State#state{session = undefined, waiting = undefined, taken = [],
                          memory = Timer, part = []}};
handle_info({timeout, Timer, memory}, #state{memory = Timer} = State) ->
    {stop, normal, State};
handle_info({timeout, Timer, waiting}, #state{waiting = #waiting{timer = Timer}} = State) ->
    {noreply, give_up(State)};
handle_info({timeout, _, _}, State) ->
    {noreply, State};
handle_info(Event, State) ->
    {noreply, attempt(event(Event, State))}.

%% ------------------------------------------------------------------
%% What an engine waits for

-spec wait(gen_server:from(), [rabbit_hot_backup_delivery_compat:message()] | leave, pos_integer(),
           #state{}) -> #state{}.
wait(From, Messages, Milliseconds, State) ->
    Timer = erlang:start_timer(Milliseconds, self(), waiting),
    State#state{waiting = #waiting{from = From, messages = Messages, timer = Timer}}.

-spec attempt(#state{}) -> #state{}.
%% Does what can be done by now.
attempt(State) ->
    respond(hand_on(State)).

-spec respond(#state{}) -> #state{}.
respond(#state{waiting = undefined} = State) ->
    State;
respond(#state{waiting = #waiting{messages = leave}, deleted = true} = State) ->
    answer({ok, deleted}, State);
respond(#state{waiting = #waiting{messages = leave}, unconfirmed = Unconfirmed} = State) ->
    case map_size(Unconfirmed) of
        0 -> answer({ok, memory(State)}, State);
        _ -> State
    end;
respond(#state{failure = Failure} = State) when Failure =/= undefined ->
    answer({error, Failure}, State);
respond(#state{taken = [_ | _]} = State) ->
    State;
respond(#state{waiting = #waiting{messages = []}, unconfirmed = Unconfirmed} = State)
  when map_size(Unconfirmed) =:= 0 ->
    answer({ok, progress(0, [], State)}, State);
respond(#state{waiting = #waiting{messages = [_ | _] = Messages}, bytes = Bytes,
               unconfirmed = Unconfirmed} = State)
  when Bytes < ?WINDOW_BYTES, map_size(Unconfirmed) < ?WINDOW_MESSAGES ->
    case rabbit_hot_backup_delivery_compat:blocking_alarms() of
        [] -> hand_on(take(Messages, State));
        Alarms -> answer({ok, progress(0, Alarms, State)}, State)
    end;
respond(State) ->
    State.

-spec give_up(#state{}) -> #state{}.
%% The queue is slow.
give_up(#state{waiting = #waiting{messages = leave}} = State) ->
    answer({ok, memory(State)}, State);
give_up(State) -> answer({ok, progress(0, [], State)}, State).

-spec answer(term(), #state{}) -> #state{}.
answer(Answer, #state{waiting = #waiting{from = From, timer = Timer}} = State) ->
    _ = erlang:cancel_timer(Timer),
    gen_server:reply(From, Answer),
    State#state{waiting = undefined}.

-spec progress(non_neg_integer(), [binary()], #state{}) -> progress().
progress(Taken, Alarms, #state{confirmed = Confirmed}) ->
    #{taken => Taken, confirmed => Confirmed, alarms => Alarms}.

-spec memory(#state{}) -> memory().
memory(#state{confirmed = Confirmed, beyond = Beyond, unconfirmed = Unconfirmed,
              uncertain_end = UncertainEnd}) ->
    End = lists:max([Confirmed, UncertainEnd | [Last + 1 || Last <- maps:keys(Unconfirmed)]]),
    #{confirmed => Confirmed, beyond => Beyond, uncertain => End - Confirmed}.

%% ------------------------------------------------------------------
%% Messages

-spec part(position(), binary(), #state{}) ->
          {ok | {error, rabbit_hot_backup_protocol:error()}, #state{}}.
part(Position, Bytes, #state{expected = Position, part = Part} = State) ->
    Whole = [Part, Bytes],
    case iolist_size(Whole) > ?LONGEST_BODY of
        true ->
            {{error, rabbit_hot_backup_protocol:error(
                       failed, "a message is longer than ~b bytes", [?LONGEST_BODY])},
             State#state{part = []}};
        false ->
            {ok, State#state{part = Whole}}
    end;
part(Position, _, State) ->
    {{error, out_of_step(Position, State)}, State}.

-spec take([rabbit_hot_backup_delivery_compat:message()], #state{}) -> #state{}.
take([{Exchange, RoutingKey, Properties, Body} | Others] = Messages,
     #state{part = Part, expected = Expected} = State) ->
    First = {Exchange, RoutingKey, Properties, iolist_to_binary([Part, Body])},
    Count = length(Messages),
    answer({ok, progress(Count, [], State)},
           State#state{taken = [First | Others], part = [], expected = Expected + Count}).

-spec hand_on(#state{}) -> #state{}.
%% Hands over as much as the queue has credit for. The rest follows when it has more.
hand_on(#state{failure = undefined, taken = [Message | Others], target = Target} = State) ->
    case rabbit_hot_backup_delivery_compat:is_blocked(Target) of
        true -> State;
        false -> hand_on(hand_over(Message, State#state{taken = Others}))
    end;
hand_on(State) ->
    State.

-spec hand_over(rabbit_hot_backup_delivery_compat:message(), #state{}) -> #state{}.
hand_over(_, #state{next = Next, beyond = Beyond} = State) when is_map_key(Next, Beyond) ->
    %% The queue has it from an earlier attempt.
    advance(State#state{next = Next + 1});
hand_over({Exchange, RoutingKey, Properties, Body}, #state{next = Next, target = Target} = State) ->
    %% A queue that keeps a body must not keep the whole request that it came in.
    Own = {binary:copy(Exchange), binary:copy(RoutingKey), binary:copy(Properties),
           binary:copy(Body)},
    Size = byte_size(Body) + byte_size(Properties),
    Handed = State#state{next = Next + 1,
                         unconfirmed = (State#state.unconfirmed)#{Next => Size},
                         bytes = State#state.bytes + Size},
    said(rabbit_hot_backup_delivery_compat:deliver(Own, Next, Target), Handed).

-spec event(term(), #state{}) -> #state{}.
event(Event, #state{target = Target} = State) ->
    said(rabbit_hot_backup_delivery_compat:event(Event, Target), State).

-spec said({ok, rabbit_hot_backup_delivery_compat:target(),
            [rabbit_hot_backup_delivery_compat:outcome()]}
           | deleted | ignored | {error, term()}, #state{}) -> #state{}.
said({ok, Target, Outcomes}, State) ->
    lists:foldl(fun outcome/2, State#state{target = Target}, Outcomes);
said(ignored, State) ->
    State;
said(deleted, #state{key = {_, VHost, Queue}, target = Target} = State) ->
    Deleted = rabbit_hot_backup_delivery_compat:is_deleted(Target),
    fail(rabbit_hot_backup_protocol:error(
           failed, "queue ~ts in vhost ~ts was deleted while messages were delivered to it",
           [Queue, VHost], "Start the restore again: it declares the queue."),
         State#state{deleted = Deleted});
said({error, Reason}, #state{key = {_, VHost, Queue}} = State) ->
    fail(rabbit_hot_backup_protocol:error(
           failed, "queue ~ts in vhost ~ts does not take messages: ~tp", [Queue, VHost, Reason],
           "See the log of its node, then start the restore again."), State).

-spec outcome(rabbit_hot_backup_delivery_compat:outcome(), #state{}) -> #state{}.
outcome({settled, Sequences}, State) ->
    advance(lists:foldl(fun settled/2, State, Sequences));
outcome({rejected, Sequences}, #state{key = {_, VHost, Queue}} = State) ->
    case lists:foldl(fun dropped/2, State, Sequences) of
        #state{unconfirmed = Same} = Dropped when Same =:= State#state.unconfirmed ->
            Dropped;
        Dropped ->
            fail(rabbit_hot_backup_protocol:error(
                   failed, "queue ~ts in vhost ~ts rejected a message", [Queue, VHost],
                   "It is at its maximum length (overflow reject-publish), or has no leader: make "
                   "room, then start the restore again."), Dropped)
    end.

-spec settled(position(), #state{}) -> #state{}.
settled(Position, #state{unconfirmed = Unconfirmed, beyond = Beyond, bytes = Bytes} = State) ->
    case maps:take(Position, Unconfirmed) of
        {Size, Others} ->
            State#state{unconfirmed = Others, beyond = Beyond#{Position => true},
                        bytes = Bytes - Size};
        error ->
            State
    end.

-spec dropped(position(), #state{}) -> #state{}.
dropped(Position, #state{unconfirmed = Unconfirmed, bytes = Bytes} = State) ->
    case maps:take(Position, Unconfirmed) of
        {Size, Others} -> State#state{unconfirmed = Others, bytes = Bytes - Size};
        error -> State
    end.

-spec advance(#state{}) -> #state{}.
advance(#state{confirmed = Confirmed, next = Next, beyond = Beyond} = State)
  when Confirmed < Next, is_map_key(Confirmed, Beyond) ->
    advance(State#state{confirmed = Confirmed + 1, beyond = maps:remove(Confirmed, Beyond)});
advance(State) ->
    State.

-spec fail(rabbit_hot_backup_protocol:error(), #state{}) -> #state{}.
%% The first reason is the one that counts.
fail(Error, #state{failure = undefined} = State) -> State#state{failure = Error};
fail(_, State) -> State.

%% ------------------------------------------------------------------
%% Errors

-spec out_of_step(position(), #state{}) -> rabbit_hot_backup_protocol:error().
out_of_step(Position, #state{expected = Expected}) ->
    rabbit_hot_backup_protocol:error(
      mismatch, "message ~b was sent where message ~b was expected", [Position, Expected],
      "Start the restore again: it goes on where it can.").

-spec no_queue(key()) -> rabbit_hot_backup_protocol:error().
no_queue({_, VHost, Queue}) ->
    rabbit_hot_backup_protocol:error(
      failed, "there is no queue ~ts in vhost ~ts", [Queue, VHost],
      "Declare it, or start the restore again: it declares the queue.").

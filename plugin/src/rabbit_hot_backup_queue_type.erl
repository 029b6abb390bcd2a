%% What rabbit_queue_type does from RabbitMQ 3.9 on for a process that delivers to one queue: in 3.8
%% there is no such module, and each type of queue is told of messages, and confirms them, in a way of
%% its own. The functions and their answers are those of 3.9.
%%
%% A classic queue may be mirrored: master and mirrors get a message each, and it is confirmed when
%% all of them have said so. A quorum queue confirms what its Raft log has.
-module(rabbit_hot_backup_queue_type).

-export([init/0, deliver/3, handle_event/3, handle_down/3]).

-export_type([state/0]).

-type sequence() :: non_neg_integer().

-record(state, {%% rabbit_fifo_client's, by the name that a quorum queue has among Ra's servers. It is
                %% the shape in which rabbit_amqqueue keeps them.
                quorum = #{} :: #{atom() => term()},
                %% The processes of a classic queue; the master is the queue.
                master = none :: pid() | none,
                monitors = #{} :: #{pid() => reference()},
                unconfirmed = #{} :: #{sequence() => awaited()}}).

-type awaited() :: {[pid()], Confirmed :: boolean()}.
%% Which processes have not confirmed a message yet, and whether one has.

-opaque state() :: #state{}.

-type result() :: {ok, state(), [{settled | rejected, Name :: term(), [sequence()]}]} | eol.

-spec init() -> state().
init() ->
    #state{}.

-spec deliver([term()], Delivery :: tuple(), state()) -> {ok, state(), []}.
deliver(Queues, Delivery, #state{quorum = Quorum, unconfirmed = Unconfirmed} = State) ->
    case rabbit_amqqueue:deliver(Queues, Delivery, Quorum) of
        {[], _, NewQuorum} ->
            {ok, State#state{quorum = NewQuorum}, []};
        {[Master | _] = Pids, _, _} ->
            Awaited = Unconfirmed#{sequence(Delivery) => {Pids, false}},
            {ok, monitored(Pids, State#state{master = Master, unconfirmed = Awaited}), []}
    end.

-spec sequence(Delivery :: tuple()) -> sequence().
%% The last field of #delivery{} but one.
sequence(Delivery) ->
    element(tuple_size(Delivery) - 1, Delivery).

-spec monitored([pid()], state()) -> state().
monitored(Pids, #state{monitors = Monitors} = State) ->
    New = [{Pid, erlang:monitor(process, Pid)} || Pid <- Pids, not is_map_key(Pid, Monitors)],
    State#state{monitors = maps:merge(Monitors, maps:from_list(New))}.

-spec handle_event(Name :: term(), Event :: term(), state()) -> result().
handle_event(Name, {confirm, Sequences, Pid}, State) ->
    settle(Name, Sequences, Pid, true, State);
handle_event(Name, {reject_publish, Sequence, _}, State) ->
    reject(Name, [Sequence], State);
handle_event(Name, {{Server, _} = From, Event}, #state{quorum = Quorum} = State)
  when is_map_key(Server, Quorum) ->
    #{Server := Client} = Quorum,
    case rabbit_quorum_queue:handle_event({ra_event, From, Event}, Client) of
        {internal, Sequences, _, NewClient} ->
            {ok, State#state{quorum = Quorum#{Server := NewClient}}, settled(Name, Sequences)};
        eol ->
            eol
    end.

-spec handle_down(pid(), Reason :: term(), state()) -> result().
%% A master that ends normally was deleted. What stops in order leaves the message to the others;
%% after a crash nobody knows whether they have it.
handle_down(Master, normal, #state{master = Master}) ->
    eol;
handle_down(Pid, Reason, #state{monitors = Monitors, unconfirmed = Unconfirmed} = State) ->
    Waiting = [Sequence || {Sequence, {Pids, _}} <- maps:to_list(Unconfirmed),
                           lists:member(Pid, Pids)],
    Without = State#state{monitors = maps:remove(Pid, Monitors)},
    case rabbit_misc:is_abnormal_exit(Reason) of
        false -> settle(none, Waiting, Pid, false, Without);
        true -> reject(none, Waiting, Without)
    end.

-spec settle(Name :: term(), [sequence()], pid(), Confirms :: boolean(), state()) -> result().
settle(Name, Sequences, Pid, Confirms, State) ->
    {NewState, Settled, Rejected} =
        lists:foldl(fun(Sequence, Sum) -> settle_one(Sequence, Pid, Confirms, Sum) end,
                    {State, [], []}, Sequences),
    {ok, NewState, settled(Name, Settled) ++ rejected(Name, Rejected)}.

-spec settle_one(sequence(), pid(), Confirms :: boolean(), Sum) -> Sum
              when Sum :: {state(), Settled :: [sequence()], Rejected :: [sequence()]}.
settle_one(Sequence, Pid, Confirms, {#state{unconfirmed = Unconfirmed} = State, Settled, Rejected}) ->
    case Unconfirmed of
        #{Sequence := {[Pid], Confirmed}} ->
            Gone = State#state{unconfirmed = maps:remove(Sequence, Unconfirmed)},
            case Confirmed or Confirms of
                true -> {Gone, [Sequence | Settled], Rejected};
                false -> {Gone, Settled, [Sequence | Rejected]}
            end;
        #{Sequence := {Pids, Confirmed}} ->
            Left = {lists:delete(Pid, Pids), Confirmed or Confirms},
            {State#state{unconfirmed = Unconfirmed#{Sequence := Left}}, Settled, Rejected};
        #{} ->
            {State, Settled, Rejected}
    end.

-spec reject(Name :: term(), [sequence()], state()) -> result().
reject(Name, Sequences, #state{unconfirmed = Unconfirmed} = State) ->
    {ok, State#state{unconfirmed = maps:without(Sequences, Unconfirmed)}, rejected(Name, Sequences)}.

-spec settled(Name :: term(), [sequence()]) -> [{settled, term(), [sequence()]}].
settled(_, []) -> [];
settled(Name, Sequences) -> [{settled, Name, Sequences}].

-spec rejected(Name :: term(), [sequence()]) -> [{rejected, term(), [sequence()]}].
rejected(_, []) -> [];
rejected(Name, Sequences) -> [{rejected, Name, Sequences}].

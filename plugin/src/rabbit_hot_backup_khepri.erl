%% RabbitMQ's metadata store where it is Khepri: what depends on its release, and on that of Ra.
%%
%% The store is a tree in the memory of a Ra server, which has a log of every change. Looked at in
%% Khepri 0.16.0 with Ra 2.14.0 (RabbitMQ 4.0.5) and Khepri 0.18.1 with Ra 3.1.10 (4.3.6): all that
%% is called here exists in both, and in what lies between.
-module(rabbit_hot_backup_khepri).

-export([query/2, position/0, is_log_written/0, leader/0]).
-export([content/1, fold/3]).

-export_type([state/0, position/0, content/0, item/0]).

-type state() :: term().
%% Of Khepri's state machine.

-type position() :: #{last := index(), written := index(), applied := index(),
                      term := non_neg_integer()}.
%% Of the local member's log: the last entry, how far the member has heard that it is in the files,
%% how far it is in the tree.

-type index() :: non_neg_integer().

-opaque content() :: Root :: tuple().

-type item() :: {put, Path :: [atom() | binary()], Payload :: term(), Properties :: #{}}.
%% As Khepri's own export makes it, but for the conditions under which nodes of the tree stay: they
%% are half of a store and belong to no definition. The store's own files have them.

%% The system of Ra servers that the store belongs to.
-define(SYSTEM, coordination).

%% What a node of the tree has that is there for its children only.
-define(NO_PAYLOAD, '$__NO_PAYLOAD__').

-spec server() -> {atom(), node()}.
server() ->
    {rabbit_khepri:get_store_id(), node()}.

-spec query(fun((state()) -> Answer), timeout()) -> {ok, index(), Answer} | {error, term()}.
%% Runs a function inside the store's local server, where every change of metadata waits for it. The
%% index is that of the last change which its argument has.
query(Function, Timeout) ->
    try ra:local_query(server(), Function, Timeout) of
        {ok, {{Index, _}, Answer}, _} -> {ok, Index, Answer};
        {error, Reason} -> {error, Reason};
        {timeout, _} -> {error, timeout}
    catch
        exit:Reason -> {error, Reason}
    end.

-spec position() -> {ok, position()} | {error, term()}.
%% Counters and ETS tables: nothing is waited for. The server counts an entry before it gives it
%% away to be written.
position() ->
    case ra:key_metrics(server()) of
        #{last_index := Last, last_written_index := Written, last_applied := Applied,
          term := Term} ->
            {ok, #{last => Last, written => Written, applied => Applied, term => Term}};
        Metrics ->
            {error, {no_position, Metrics}}
    end.

-spec leader() -> node() | none.
%% Where changes of the store are made, as far as this node has heard.
leader() ->
    case ra_leaderboard:lookup_leader(rabbit_khepri:get_store_id()) of
        {_, Node} -> Node;
        _ -> none
    end.

-spec is_log_written() -> boolean().
%% Whether the process that writes the logs has written everything that was sent to it before.
%%
%% It waits in loop_wait/2 only when its batch is in the file. Its mailbox is one to which many may
%% send at once, from which messages come in an order that is not always that in which they were
%% sent: what was not there when it was looked at first can hide once more. So it is looked at three
%% times.
is_log_written() ->
    #{names := #{wal := Writer}} = ra_system:fetch(?SYSTEM),
    lists:all(fun(_) -> is_idle(whereis(Writer)) end, [1, 2, 3]).

-spec is_idle(pid() | undefined) -> boolean().
is_idle(undefined) ->
    false;
is_idle(Writer) ->
    case process_info(Writer, [message_queue_len, status, current_function]) of
        [{message_queue_len, 0}, {status, waiting}, {current_function, Function}] ->
            lists:member(Function, [{gen_batch_server, loop_wait, 2}, {erlang, hibernate, 3}]);
        _ ->
            false
    end.

-spec content(state()) -> content().
%% What fold/3 needs of a state. To be called in query/2: the answer is copied from there.
content(State) ->
    khepri_machine:get_root(State).

-spec fold(fun((item(), Accumulator) -> Accumulator), Accumulator, content()) -> Accumulator.
fold(Function, Accumulator, Content) ->
    fold(Content, [], Function, Accumulator).

-spec fold(tuple(), Reversed :: [atom() | binary()], fun((item(), Accumulator) -> Accumulator),
           Accumulator) -> Accumulator.
fold({node, _, Payload, Children}, Path, Function, Accumulator) ->
    Next = case Payload of
               ?NO_PAYLOAD -> Accumulator;
               _ -> Function({put, lists:reverse(Path), Payload, #{}}, Accumulator)
           end,
    maps:fold(fun(Name, Child, Folded) -> fold(Child, [Name | Path], Function, Folded) end,
              Next, Children).

%% What each queue of this node holds now: docs/protocol.md, `inventory_stream`.
%%
%% Unlike the statistics, it asks every queue itself, so the numbers are exact when nobody publishes
%% or consumes. Each queue has a bounded time to answer, whatever it does; some are asked at once.
-module(rabbit_hot_backup_inventory).

-export([run/2]).

%% How many queues are asked at a time.
-define(AT_ONCE, 100).

-spec run(Timeout :: pos_integer(), rabbit_hot_backup_metadata:hand_over()) ->
          ok | {error, term()}.
%% Hands over an item for each durable queue.
run(Timeout, HandOver) ->
    run(rabbit_hot_backup_queue_compat:durable(), Timeout,
        rabbit_hot_backup_metadata:sink(HandOver)).

-spec run([term()], pos_integer(), rabbit_hot_backup_metadata:sink()) -> ok | {error, term()}.
run([], _, Sink) ->
    rabbit_hot_backup_metadata:finish(Sink);
run(Queues, Timeout, Sink) ->
    {Now, Later} = lists:split(min(?AT_ONCE, length(Queues)), Queues),
    case rabbit_hot_backup_metadata:write(Sink, ask(Now, Timeout)) of
        {ok, Written} -> run(Later, Timeout, Written);
        {error, Reason} -> {error, Reason}
    end.

-spec ask([term()], pos_integer()) -> [map()].
ask(Queues, Timeout) ->
    Deadline = erlang:monotonic_time(millisecond) + Timeout,
    Asked = [{Queue, spawn_monitor(fun() -> exit({numbers, numbers(Queue, Timeout)}) end)}
             || Queue <- Queues],
    [maps:merge(named(Queue), answer(Asking, Deadline)) || {Queue, Asking} <- Asked].

-spec named(term()) -> map().
named(Queue) ->
    {VHost, Name} = rabbit_hot_backup_queue_compat:name(Queue),
    #{vhost => VHost, name => Name, type => rabbit_hot_backup_queue_compat:type(Queue),
      nodes => [atom_to_binary(Node) || Node <- rabbit_hot_backup_queue_compat:nodes(Queue)]}.

-spec numbers(term(), pos_integer()) -> rabbit_hot_backup_queue_compat:numbers().
%% A queue that ends while it is asked must not fill the log with crash reports.
numbers(Queue, Timeout) ->
    try
        rabbit_hot_backup_queue_compat:numbers(Queue, Timeout)
    catch
        _:_ -> #{state => <<"down">>}
    end.

-spec answer({pid(), reference()}, Deadline :: integer()) ->
          rabbit_hot_backup_queue_compat:numbers().
answer({Asker, Monitor}, Deadline) ->
    Left = max(0, Deadline - erlang:monotonic_time(millisecond)),
    receive
        {'DOWN', Monitor, process, Asker, {numbers, Numbers}} -> Numbers;
        {'DOWN', Monitor, process, Asker, _} -> #{state => <<"down">>}
    after Left ->
            true = erlang:demonitor(Monitor, [flush]),
            true = exit(Asker, kill),
            #{state => <<"no_answer">>}
    end.

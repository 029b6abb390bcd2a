%% How many messages each queue of this node has: docs/protocol.md, `statistics_stream`.
%%
%% Read from the tables in which the node keeps what its queues report of themselves now and then.
%% So the numbers are a few seconds old, and there are none while nobody has asked RabbitMQ to
%% collect them (the management agent does). Nothing is asked of a queue.
-module(rabbit_hot_backup_statistics).

-export([run/1]).

%% How many rows are read at a time.
-define(ROWS, 500).

-spec run(rabbit_hot_backup_metadata:hand_over()) -> ok | {error, term()}.
%% Hands over an item for each queue that something is known of.
run(HandOver) ->
    Offsets = rabbit_hot_backup_compat:stream_offsets(),
    Sink = rabbit_hot_backup_metadata:sink(HandOver),
    case counted(Offsets, Sink) of
        {ok, Rest, Counted} -> finish(Rest, Counted);
        {error, Reason} -> {error, Reason}
    end.

-spec finish([map()], rabbit_hot_backup_metadata:sink()) -> ok | {error, term()}.
finish(Items, Sink) ->
    case rabbit_hot_backup_metadata:write(Sink, Items) of
        {ok, Written} -> rabbit_hot_backup_metadata:finish(Written);
        {error, Reason} -> {error, Reason}
    end.

-spec counted(Offsets :: map(), rabbit_hot_backup_metadata:sink()) ->
          {ok, Rest :: [map()], rabbit_hot_backup_metadata:sink()} | {error, term()}.
%% The queues whose messages are counted. The rest are streams that are not among them.
counted(Offsets, Sink) ->
    Table = queue_coarse_metrics,
    case ets:info(Table, size) of
        undefined ->
            {ok, rest(Offsets), Sink};
        _ ->
            %% Rows come and go while the engine acknowledges.
            true = ets:safe_fixtable(Table, true),
            Row = {{{resource, '$1', queue, '$2'}, '$3', '$4', '_', '_'}, [],
                   [{{'$1', '$2', '$3', '$4'}}]},
            counted(ets:select(Table, [Row], ?ROWS), Offsets, Sink)
    end.

-spec counted('$end_of_table' | {[tuple()], term()}, Offsets :: map(),
              rabbit_hot_backup_metadata:sink()) ->
          {ok, Rest :: [map()], rabbit_hot_backup_metadata:sink()} | {error, term()}.
counted('$end_of_table', Offsets, Sink) ->
    {ok, rest(Offsets), Sink};
counted({Rows, Continuation}, Offsets, Sink) ->
    Items = [item(Row, Offsets) || Row <- Rows],
    case rabbit_hot_backup_metadata:write(Sink, Items) of
        {ok, Written} ->
            Others = maps:without([{VHost, Name} || {VHost, Name, _, _} <- Rows], Offsets),
            counted(ets:select(Continuation), Others, Written);
        {error, Reason} ->
            {error, Reason}
    end.

-spec item(tuple(), map()) -> map().
item({VHost, Name, Ready, Unacknowledged}, Offsets) ->
    Counts = [{Key, Count} || {Key, Count} <- [{ready, Ready}, {unacknowledged, Unacknowledged}
                                               | details(VHost, Name)],
                              is_integer(Count), Count >= 0],
    maps:merge(maps:from_list(Counts), named({VHost, Name}, Offsets)).

-spec rest(map()) -> [map()].
rest(Offsets) ->
    [named(Queue, Offsets) || Queue <- maps:keys(Offsets)].

-spec named(rabbit_hot_backup_compat:queue(), map()) -> map().
named({VHost, Name} = Queue, Offsets) ->
    Named = #{vhost => VHost, name => Name},
    case Offsets of
        #{Queue := {First, Last}} -> Named#{first_offset => First, last_offset => Last};
        _ -> Named
    end.

-spec details(binary(), binary()) -> [{atom(), term()}].
%% The bytes of the messages' bodies, which a stream does not count; and how many messages survive a
%% restart, and since when it has nothing to do, which only a classic queue tells.
details(VHost, Name) ->
    try ets:lookup(queue_metrics, {resource, VHost, queue, Name}) of
        [{_, Properties, _}] ->
            [{bytes, proplists:get_value(message_bytes, Properties, unknown)},
             {persistent, proplists:get_value(messages_persistent, Properties, unknown)},
             {idle_since, proplists:get_value(idle_since, Properties, unknown)}];
        [] ->
            []
    catch
        error:badarg -> []
    end.

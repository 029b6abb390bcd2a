%% The metadata of a node as a source of items: which tables, and the callbacks of Mnesia's backup
%% (the behaviour that mnesia_backup.erl describes), by which an export of Khepri goes, too.
%%
%% A run happens in a process of its own, which hands encoded batches to its session and never
%% meets the port. mnesia:backup_checkpoint/3 moreover calls us in a process that it spawns and
%% that traps exits: to kill the run does not end that process while it waits in write/2. So
%% write/2 must always come back, with an error once the session is gone (hand_over/2 of
%% rabbit_hot_backup_operations sees to this).
-module(rabbit_hot_backup_metadata).

-export([tables/0, tables/1, run/2]).

%% Callbacks of mnesia:backup_checkpoint/3, and what they are given at first.
-export([sink/1, open_write/1, write/2, commit_write/1, abort_write/1]).
%% For whoever calls write/2 without either of them.
-export([finish/1]).

-export_type([table/0, skipped/0, checkpoint/0, delivery/0, hand_over/0, sink/0]).

-type table() :: atom().
-type skipped() :: #{table := binary(), reason := binary()}.

-type checkpoint() :: {mnesia, Name :: term()} | {khepri, rabbit_hot_backup_khepri:content()}.

-type delivery() :: {payload, binary(), Items :: pos_integer()} | complete.
%% A batch; and at last, from the same process, that this was all.

-type hand_over() :: fun((delivery()) -> ok | {error, term()}).
%% May block.

%% A batch is handed over as soon as it has this many items or bytes. Mnesia reads 500 keys at a
%% time.
-define(BATCH_ITEMS, 500).
-define(BATCH_BYTES, 256 * 1024).

%% A longer batch is split between items.
-define(LONGEST_PAYLOAD, 1024 * 1024).

-record(sink, {hand_over :: hand_over(),
               batch = [] :: [[term()]],  % newest first
               items = 0 :: non_neg_integer(),
               bytes = 0 :: non_neg_integer()}).

-opaque sink() :: #sink{}.

%% ------------------------------------------------------------------
%% Tables

-spec tables() -> {[table()], [skipped()]}.
%% What a backup holds: RabbitMQ's own eight whatever their kind, the schema (without it the
%% retainer of a table that has no replica here would stay on its node for ever), and every other
%% table that is on this node's disc, for plugins keep durable data of their own (the delayed
%% message exchange its messages). Tables that are in memory only are no part of it: the broker
%% builds them anew at each start.
tables() ->
    tables([]).

-spec tables(Others :: [node()]) -> {[table()], [skipped()]}.
%% Of several nodes together: a table may be on the disc of any of them. Mnesia reads it there.
tables(Nodes) ->
    Existing = mnesia:system_info(tables),
    Own = own_tables(),
    {Present, Missing} = lists:partition(fun(Table) -> lists:member(Table, Existing) end, Own),
    Others = lists:sort((Existing -- [schema]) -- Own),
    Judged = [{Table, judge(Table, Nodes)} || Table <- Others],
    Tables = [schema | Present] ++ [Table || {Table, include} <- Judged],
    Skipped = [skipped(Table, "the node has no such table") || Table <- Missing]
        ++ [skipped(Table, Reason) || {Table, {skip, Reason}} <- Judged],
    {Tables, Skipped}.

-spec own_tables() -> [table()].
own_tables() ->
    [rabbit_vhost, rabbit_user, rabbit_user_permission, rabbit_topic_permission,
     rabbit_runtime_parameters, rabbit_durable_exchange, rabbit_durable_queue,
     rabbit_durable_route].

-spec judge(table(), [node()]) -> include | memory_only | {skip, Reason :: string()}.
judge(rabbit_node_maintenance_states, _) ->
    {skip, "bookkeeping of running nodes, worthless after a restore"};
judge(Table, Nodes) ->
    OnDisc = mnesia:table_info(Table, disc_copies) ++ mnesia:table_info(Table, disc_only_copies),
    IsElsewhere = lists:any(fun(Node) -> lists:member(Node, OnDisc) end, Nodes),
    case mnesia:table_info(Table, storage_type) of
        ram_copies when OnDisc =:= [] -> memory_only;
        ram_copies when not IsElsewhere -> {skip, "this node has it in memory only"};
        unknown when OnDisc =:= [] -> memory_only;
        unknown when not IsElsewhere -> {skip, "this node has no replica of it"};
        _ ->
            case mnesia:table_info(Table, local_content) of
                true -> {skip, "each node has a content of its own in it"};
                false -> include
            end
    end.

-spec skipped(table(), string()) -> skipped().
skipped(Table, Reason) ->
    #{table => atom_to_binary(Table), reason => unicode:characters_to_binary(Reason)}.

%% ------------------------------------------------------------------
%% A run

-spec run(checkpoint(), hand_over()) -> ok | {error, term()}.
%% Hands over everything in a checkpoint; returns when the last batch is accepted.
run({mnesia, Name}, HandOver) ->
    mnesia:backup_checkpoint(Name, sink(HandOver), ?MODULE);
run({khepri, Content}, HandOver) ->
    Write = fun(Item, {ok, Sink}) -> write(Sink, [Item]);
               (_, {error, Reason}) -> {error, Reason}
            end,
    case rabbit_hot_backup_khepri:fold(Write, {ok, sink(HandOver)}, Content) of
        {ok, Sink} -> finish(Sink);
        {error, Reason} -> {error, Reason}
    end.

-spec sink(hand_over()) -> sink().
sink(HandOver) ->
    #sink{hand_over = HandOver}.

-spec open_write(sink()) -> {ok, sink()}.
open_write(Sink) ->
    {ok, Sink}.

-spec write(sink(), [term()]) -> {ok, sink()} | {error, term()}.
%% Mnesia comes with 500 keys, single schema definitions and short rests; an export of Khepri with
%% one item a call.
write(#sink{batch = Batch, items = Count, bytes = Bytes} = Sink, Items) ->
    Collected = Sink#sink{batch = [Items | Batch], items = Count + length(Items)},
    case Collected#sink.items >= ?BATCH_ITEMS of
        true ->
            hand_over(Collected);
        false ->
            %% Only small calls are measured here: a full batch is, as a whole, when it is cut.
            case Bytes + erlang:external_size(Items) of
                Size when Size >= ?BATCH_BYTES -> hand_over(Collected);
                Size -> {ok, Collected#sink{bytes = Size}}
            end
    end.

-spec commit_write(sink()) -> {ok, sink()} | {error, term()}.
commit_write(Sink) ->
    case hand_over(Sink) of
        {ok, #sink{hand_over = HandOver} = Empty} ->
            case HandOver(complete) of
                ok -> {ok, Empty};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

-spec finish(sink()) -> ok | {error, term()}.
%% Hands over the rest, and that it was all.
finish(Sink) ->
    case commit_write(Sink) of
        {ok, _} -> ok;
        {error, Reason} -> {error, Reason}
    end.

-spec abort_write(sink()) -> {ok, sink()}.
%% The session learns from the result of the run that what it got is worthless.
abort_write(Sink) ->
    {ok, Sink}.

-spec hand_over(sink()) -> {ok, sink()} | {error, term()}.
hand_over(#sink{batch = Batch, items = Count, hand_over = HandOver} = Sink) ->
    Items = lists:append(lists:reverse(Batch)),
    case hand_over(Items, Count, HandOver) of
        ok -> {ok, Sink#sink{batch = [], items = 0, bytes = 0}};
        {error, Reason} -> {error, Reason}
    end.

-spec hand_over([term()], non_neg_integer(), hand_over()) -> ok | {error, term()}.
%% Halves a batch that is too long, until each part fits or is a single item. The length is known
%% before anything is encoded: 500 records may be gigabytes.
hand_over([], 0, _) ->
    ok;
hand_over(Items, Count, HandOver) ->
    case Count > 1 andalso erlang:external_size(Items) > ?LONGEST_PAYLOAD of
        false ->
            HandOver({payload, term_to_binary(Items, [{minor_version, 2}]), Count});
        true ->
            {First, Second} = lists:split(Count div 2, Items),
            case hand_over(First, Count div 2, HandOver) of
                ok -> hand_over(Second, Count - Count div 2, HandOver);
                {error, Reason} -> {error, Reason}
            end
    end.

%% How a queue is asked for what it holds, in each release of RabbitMQ: the types of queues answer
%% in different ways. Beside rabbit_hot_backup_compat, which says what holds for it too.
-module(rabbit_hot_backup_queue_compat).

-export([durable/0, name/1, type/1, nodes/1, numbers/2]).
%% Called by Ra in a queue's own process.
-export([count/1]).

-export_type([numbers/0]).

-type numbers() :: #{state := binary(),
                     ready => non_neg_integer(), unacknowledged => non_neg_integer(),
                     directory => binary(),
                     first_offset => non_neg_integer(), last_offset => non_neg_integer()}.
%% `running` is a queue that serves; what it holds is there then. All other states say why it does
%% not: `crashed`, `stopped`, `down`, `no_leader`, `minority` and what a later release may add.

-spec durable() -> [term()].
%% The queues that outlive the node, as their records, whether they serve or not. list_durable/0 is
%% there from 3.13; before that the metadata is in Mnesia.
durable() ->
    case rabbit_hot_backup_compat:has(rabbit_amqqueue, list_durable, 0) of
        true ->
            rabbit_amqqueue:list_durable();
        false ->
            Table = rabbit_durable_queue,
            mnesia:dirty_match_object(Table, mnesia:table_info(Table, wild_pattern))
    end.

-spec name(term()) -> rabbit_hot_backup_compat:queue().
name(Queue) ->
    {resource, VHost, queue, Name} = amqqueue:get_name(Queue),
    {VHost, Name}.

-spec type(term()) -> binary().
type(Queue) ->
    case amqqueue:get_type(Queue) of
        rabbit_classic_queue -> <<"classic">>;
        rabbit_quorum_queue -> <<"quorum">>;
        rabbit_stream_queue -> <<"stream">>;
        Module -> atom_to_binary(Module)
    end.

-spec nodes(term()) -> [node()].
%% Where its members are; of a classic queue, where it itself is: nothing else decides whether it
%% can run.
nodes(Queue) ->
    case {amqqueue:get_type_state(Queue), amqqueue:get_pid(Queue)} of
        %% Of a quorum queue, from 4.3 on, with the IDs of its Raft servers.
        {#{nodes := Nodes}, _} when is_map(Nodes) -> maps:keys(Nodes);
        {#{nodes := Nodes}, _} -> Nodes;
        {_, Pid} when is_pid(Pid) -> [node(Pid)];
        _ -> []
    end.

-spec numbers(term(), timeout()) -> numbers().
%% Asks the queue itself. May take `Timeout` and longer, or fail: the caller bounds it.
numbers(Durable, Timeout) ->
    case rabbit_amqqueue:lookup(amqqueue:get_name(Durable)) of
        {ok, Queue} ->
            case {amqqueue:get_state(Queue), type(Queue)} of
                {live, <<"quorum">>} -> quorum(Queue, Timeout);
                {live, <<"stream">>} -> stream(Queue);
                {live, _} -> classic(Queue);
                {State, _} -> #{state => atom_to_binary(State)}
            end;
        {error, not_found} ->
            %% Its vhost, or the queue, was not recovered.
            #{state => <<"down">>}
    end.

-spec classic(term()) -> numbers().
classic(Queue) ->
    [{messages_ready, Ready}, {messages_unacknowledged, Unacknowledged}] =
        rabbit_amqqueue:info(Queue, [messages_ready, messages_unacknowledged]),
    #{state => <<"running">>, ready => Ready, unacknowledged => Unacknowledged}.

-spec quorum(term(), timeout()) -> numbers().
%% A consistent query is answered when all that was committed is applied: after a boot a Raft server
%% elects a leader first. What rabbit_quorum_queue:info/2 says is as old as its last tick.
quorum(Queue, Timeout) ->
    %% Ra 3 (RabbitMQ 4.3) takes no fun.
    case ra:consistent_query(amqqueue:get_pid(Queue), {?MODULE, count, []}, Timeout) of
        {ok, {Ready, Unacknowledged}, _} ->
            #{state => <<"running">>, ready => Ready, unacknowledged => Unacknowledged};
        {timeout, _} ->
            #{state => <<"no_leader">>};
        {error, _} ->
            #{state => <<"down">>}
    end.

-spec count(term()) -> {Ready :: non_neg_integer(), Unacknowledged :: non_neg_integer()}.
count(Machine) ->
    {rabbit_fifo:query_messages_ready(Machine), rabbit_fifo:query_messages_checked_out(Machine)}.

-spec stream(term()) -> numbers().
%% The replica's counters are there as long as it runs.
stream(Queue) ->
    #{name := Directory} = amqqueue:get_type_state(Queue),
    Known = #{directory => unicode:characters_to_binary(Directory)},
    case maps:find(name(Queue), rabbit_hot_backup_compat:stream_replicas()) of
        {ok, {First, Last}} when First >= 0, Last >= First ->
            Known#{state => <<"running">>, first_offset => First, last_offset => Last};
        {ok, _} ->
            Known#{state => <<"running">>};
        error ->
            Known#{state => <<"down">>}
    end.

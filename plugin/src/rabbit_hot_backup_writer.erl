%% The only process of a session that may block: it hands messages to the carrier.
%%
%% When a peer does not read, port_command/2 (or a send to a busy distribution connection)
%% suspends its caller beyond any exit signal, until the carrier is closed. So the carrier's
%% owner, who has to notice that and close it, never sends by itself.
-module(rabbit_hot_backup_writer).

-export([start_link/1, send/2]).

-export_type([writer/0]).

-opaque writer() :: {pid(), counters:counters_ref()}.

%% What may wait for the peer to read. Data is bounded by the window of its stream, so this
%% is reached only by a peer that asks and does not read the answers.
-define(MOST_WAITING, 1000).

-spec start_link(rabbit_hot_backup_carrier:carrier()) -> writer().
%% Linked to its session: it ends with it.
start_link(Carrier) ->
    Waiting = counters:new(1, []),
    {proc_lib:spawn_link(fun() -> loop(Carrier, Waiting) end), Waiting}.

-spec send(writer(), rabbit_hot_backup_protocol:message()) -> ok | {error, flooded}.
%% Never blocks.
send({Pid, Waiting}, Message) ->
    case counters:get(Waiting, 1) < ?MOST_WAITING of
        true ->
            counters:add(Waiting, 1, 1),
            Pid ! {send, Message},
            ok;
        false ->
            {error, flooded}
    end.

-spec loop(rabbit_hot_backup_carrier:carrier(), counters:counters_ref()) -> no_return().
loop(Carrier, Waiting) ->
    receive
        {send, Message} ->
            ok = rabbit_hot_backup_carrier:send(Carrier, Message),
            counters:sub(Waiting, 1, 1)
    end,
    loop(Carrier, Waiting).

%% Runs inside a test broker: clients that change metadata all the time, and how long they had to
%% wait for it.
-module(metadata_probe).

-export([start/1, stop/0, changes/0, longest/0]).

-define(ACTOR, <<"metadata_probe">>).
%% So many of what a writer has declared are there at a time.
-define(KEPT, 5).

-spec start(pos_integer()) -> ok.
start(Writers) ->
    Self = self(),
    spawn(fun() ->
                  register(metadata_probe, self()),
                  metadata_probe_times = ets:new(metadata_probe_times, [named_table, public]),
                  Pids = [spawn_monitor(fun() -> begin_to_write(W) end)
                          || W <- lists:seq(1, Writers)],
                  Self ! started,
                  receive {stop, From} -> From ! {stopped, [stop(Writer) || Writer <- Pids]} end
          end),
    receive started -> ok end.

%% How many changes there were.
-spec stop() -> non_neg_integer().
stop() ->
    metadata_probe ! {stop, self()},
    receive {stopped, Counts} -> lists:sum(Counts) end.

stop({Pid, Monitor}) ->
    Pid ! stop,
    receive {'DOWN', Monitor, process, Pid, {written, Count}} -> Count end.

%% How many there were since the last call of longest/0, by the writer that has fewest.
-spec changes() -> non_neg_integer().
changes() ->
    lists:min([Count || {_, _, Count} <- ets:tab2list(metadata_probe_times)]).

%% Milliseconds that the slowest change took, since the last call.
-spec longest() -> non_neg_integer().
longest() ->
    Times = ets:tab2list(metadata_probe_times),
    [ets:insert(metadata_probe_times, {Writer, 0, 0}) || {Writer, _, _} <- Times],
    lists:max([Time || {_, Time, _} <- Times]) div 1000.

%% What an earlier one of this number has left has another name.
begin_to_write(Writer) ->
    true = ets:insert(metadata_probe_times, {self(), 0, 0}),
    write({Writer, erlang:unique_integer([positive])}, 1).

write(Writer, N) ->
    receive
        stop -> exit({written, N - 1})
    after 0 ->
        declare(Writer, N),
        case N > ?KEPT of
            true -> delete(Writer, N - ?KEPT);
            false -> ok
        end,
        write(Writer, N + 1)
    end.

declare(Writer, N) ->
    {Exchange, Queue} = names(Writer, N),
    timed(fun() -> rabbit_exchange:declare(Exchange, topic, true, false, false, [], ?ACTOR) end),
    timed(fun() -> {new, _} = rabbit_amqqueue:declare(Queue, true, false, [], none, ?ACTOR) end),
    timed(fun() -> ok = rabbit_binding:add(binding(Exchange, Queue), ?ACTOR) end),
    timed(fun() -> ok = rabbit_runtime_parameters:set_global(counter(Writer), N, ?ACTOR) end).

delete(Writer, N) ->
    {Exchange, Queue} = names(Writer, N),
    timed(fun() -> ok = rabbit_binding:remove(binding(Exchange, Queue), ?ACTOR) end),
    timed(fun() -> ok = rabbit_exchange:delete(Exchange, false, ?ACTOR) end),
    {ok, Record} = rabbit_amqqueue:lookup(Queue),
    timed(fun() -> {ok, _} = rabbit_amqqueue:delete(Record, false, false, ?ACTOR) end).

timed(Change) ->
    {Time, _} = timer:tc(Change),
    [{_, Longest, Count}] = ets:lookup(metadata_probe_times, self()),
    ets:insert(metadata_probe_times, {self(), max(Longest, Time), Count + 1}).

names({Writer, Unique}, N) ->
    Name = iolist_to_binary(io_lib:format("changing ~b ~b ~b", [Writer, Unique, N])),
    {{resource, <<"/">>, exchange, Name}, {resource, <<"/">>, queue, Name}}.

binding(Exchange, Queue) ->
    {binding, Exchange, <<"a.*">>, Queue, []}.

counter({Writer, _}) ->
    list_to_atom("changing_" ++ integer_to_list(Writer)).

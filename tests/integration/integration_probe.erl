%% Runs inside a test broker: large tables, writers whose transactions keep an invariant, and looks
%% at what a backup or the plugin leaves behind.
-module(integration_probe).

-export([ballast/2]).
-export([start_writers/1, stop_writers/0]).
-export([watch_memory/0, peak_growth/0]).
-export([watch_pauses/0, longest_pause/0]).
-export([kill_holder_when_held/0, holder_was_killed/0]).
-export([held/0, leftovers/0]).

%% Read by consistency_test.cpp too.
-define(ROWS, 10).
-define(ACCOUNTS, 50).

%% ---- A node with much to back up -------------------------------------------------------------

%% As many records of so many bytes, as a plugin would have them: in a durable table or a branch of
%% Khepri's store.
-spec ballast(pos_integer(), pos_integer()) -> ok.
ballast(Records, Bytes) ->
    Value = binary:copy(<<"ballast ">>, Bytes div 8),
    case rabbit_hot_backup_compat:metadata_store() of
        mnesia ->
            ok = table(integration_ballast),
            fill(integration_ballast, [{N, Value} || N <- lists:seq(1, Records)]);
        khepri ->
            %% Each change of the store waits for the disk.
            Many = lists:duplicate(100, Value),
            [ok = rabbit_khepri:put([integration_ballast, integer_to_binary(N)], {ballast, Many})
             || N <- lists:seq(1, Records div 100)],
            ok
    end.

table(Name) ->
    {atomic, ok} = mnesia:create_table(Name, [{disc_copies, [node()]}, {attributes, [key, value]}]),
    ok.

fill(Table, Pairs) ->
    lists:foreach(fun({Key, Value}) -> ok = mnesia:dirty_write({Table, Key, Value}) end, Pairs).

%% ---- Writers ---------------------------------------------------------------------------------

%% Each transaction raises the writer's counter in three tables, inserts a row in two, deletes the
%% row that is ?ROWS older, and moves money from an account in one table to one in the other.
%% Padding makes the reading of a table last longer than many transactions.
-spec start_writers(pos_integer()) -> ok.
start_writers(Writers) ->
    lists:foreach(
      fun(Table) ->
              ok = table(Table),
              fill(Table, [{{account, A}, 0} || A <- lists:seq(1, ?ACCOUNTS)]),
              fill(Table, [{{padding, P}, <<0:4000>>} || P <- lists:seq(1, 4000)])
      end, [integration_left, integration_right]),
    Self = self(),
    spawn(fun() ->
                  register(integration_writers, self()),
                  Pids = [spawn_monitor(fun() -> write(W, 1) end) || W <- lists:seq(1, Writers)],
                  Self ! started,
                  receive {stop, From} -> From ! {stopped, [stop(Writer) || Writer <- Pids]} end
          end),
    receive started -> ok end.

%% How many transactions there were.
-spec stop_writers() -> non_neg_integer().
stop_writers() ->
    integration_writers ! {stop, self()},
    receive {stopped, Counts} -> lists:sum(Counts) end.

stop({Pid, Monitor}) ->
    Pid ! stop,
    receive {'DOWN', Monitor, process, Pid, {written, Count}} -> Count end.

write(Writer, N) ->
    receive
        stop -> exit({written, N - 1})
    after 1 ->
        {atomic, ok} = mnesia:transaction(fun() -> change(Writer, N) end),
        write(Writer, N + 1)
    end.

change(Writer, N) ->
    Parameter = {<<"/">>, <<"integration">>, integer_to_binary(Writer)},
    ok = mnesia:write({integration_left, {counter, Writer}, N}),
    ok = mnesia:write(rabbit_runtime_parameters, {runtime_parameters, Parameter, N}, write),
    lists:foreach(
      fun(Table) ->
              ok = mnesia:write({Table, {row, Writer, N}, N}),
              ok = mnesia:delete({Table, {row, Writer, N - ?ROWS}})
      end, [integration_left, integration_right]),
    ok = transfer({integration_left, {account, 1 + N rem ?ACCOUNTS}},
                  {integration_right, {account, 1 + (N * 7 + Writer) rem ?ACCOUNTS}}),
    ok = mnesia:write({integration_right, {counter, Writer}, N}).

transfer({FromTable, From}, {ToTable, To}) ->
    [{_, _, Less}] = mnesia:wread({FromTable, From}),
    [{_, _, More}] = mnesia:wread({ToTable, To}),
    ok = mnesia:write({FromTable, From, Less - 1}),
    ok = mnesia:write({ToTable, To, More + 1}).

%% ---- Memory ----------------------------------------------------------------------------------

-spec watch_memory() -> ok.
watch_memory() ->
    lists:foreach(fun erlang:garbage_collect/1, processes()),
    Start = erlang:memory(total),
    register(integration_memory, spawn(fun() -> watch_memory(Start, Start) end)),
    ok.

watch_memory(Start, Peak) ->
    Now = max(Peak, erlang:memory(total)),
    receive {stop, From} -> From ! {growth, Now - Start}
    after 5 -> watch_memory(Start, Now) end.

%% Bytes at the peak above those at the start of the watch.
-spec peak_growth() -> non_neg_integer().
peak_growth() ->
    integration_memory ! {stop, self()},
    receive {growth, Bytes} -> Bytes end.

%% ---- Stops -----------------------------------------------------------------------------------

-spec watch_pauses() -> ok.
watch_pauses() ->
    %% Nobody may have asked the one before.
    _ = [longest_pause() || whereis(integration_pauses) =/= undefined],
    Self = self(),
    spawn(fun() ->
                  process_flag(priority, high),
                  register(integration_pauses, self()),
                  Self ! watching,
                  watch_pauses(erlang:monotonic_time(millisecond), 0)
          end),
    receive watching -> ok end.

watch_pauses(Last, Longest) ->
    receive
        {stop, From} ->
            true = unregister(integration_pauses),
            From ! {longest, Longest}
    after 1 ->
            Now = erlang:monotonic_time(millisecond),
            watch_pauses(Now, max(Longest, Now - Last))
    end.

%% Milliseconds for which a process that wants to run each millisecond did not. Ends the watch.
-spec longest_pause() -> non_neg_integer().
longest_pause() ->
    integration_pauses ! {stop, self()},
    receive {longest, Longest} -> Longest end.

%% Waits for the holder of a stop, and kills it while it holds the node. That only a process of
%% the highest priority can do: it shares the one scheduler that is left.
-spec kill_holder_when_held() -> ok.
kill_holder_when_held() ->
    Self = self(),
    spawn(fun() ->
                  process_flag(priority, max),
                  register(integration_killer, self()),
                  Self ! ready,
                  kill_holder()
          end),
    receive ready -> ok end.

kill_holder() ->
    case erlang:system_info(multi_scheduling_blockers) of
        [Holder | _] ->
            exit(Holder, kill),
            receive {asked, From} -> From ! true end;
        [] ->
            receive {asked, From} -> From ! false
            after 1 -> kill_holder()
            end
    end.

-spec holder_was_killed() -> boolean().
holder_was_killed() ->
    integration_killer ! {asked, self()},
    receive Killed -> Killed end.

%% ---- Leftovers -------------------------------------------------------------------------------

%% What a backup holds of the node's metadata: Mnesia's checkpoints, and the processes that lock it
%% or have an export of Khepri's store.
-spec held() -> [term()].
held() ->
    Checkpoints = case mnesia:system_info(is_running) of
                      yes -> mnesia:system_info(checkpoints);
                      _ -> []
                  end,
    Checkpoints ++ [Pid || Pid <- processes(),
                           {current_stacktrace, Stack}
                               <- [process_info(Pid, current_stacktrace)],
                           lists:any(fun({Module, _, _, _}) -> holds_metadata(Module) end, Stack)].

holds_metadata(Module) ->
    lists:member(Module, [rabbit_hot_backup_export, rabbit_hot_backup_store_lock,
                          rabbit_hot_backup_table_locks]).

%% Whatever is in the node that belongs to the plugin.
-spec leftovers() -> [term()].
leftovers() ->
    [{registered, Name} || Name <- registered(), is_ours(Name)]
        ++ [{module, Module} || {Module, _} <- code:all_loaded(), is_ours(Module)]
        ++ [{process, Pid} || Pid <- processes(), is_ours(module_of(Pid))]
        ++ [{ets, Name} || Table <- ets:all(), Name <- [ets:info(Table, name)], is_ours(Name)]
        ++ [{application, Name} || {Name, _, _} <- application:which_applications(),
                                   Name =:= rabbitmq_hot_backup]
        ++ [{port, Name} || Port <- erlang:ports(), {name, Name} <- [erlang:port_info(Port, name)],
                            string:find(Name, "rabbitmq-hot-backup") =/= nomatch]
        ++ [{held, Held} || Held <- held()].

is_ours(Name) when is_atom(Name) -> lists:prefix("rabbit_hot_backup", atom_to_list(Name));
is_ours(_) -> false.

module_of(Pid) ->
    case proc_lib:translate_initial_call(Pid) of
        {Module, _, _} -> Module;
        _ -> undefined
    end.

%% Metadata in Khepri: what is exported is what the store's log says at the stop, changes wait
%% no longer than they have to, and nothing is left behind.
%%
%% The store is a model of a Ra server: changes are entries of a log, which another process writes
%% and which take effect when it has. What RabbitMQ and Ra would be asked is asked here.
-module(rabbit_hot_backup_khepri_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/2, ask/3, attach/0, session/1, expect/1, eventually/1]).

%% What the stand-ins call.
-export([local_query/2, key_metrics/0]).

%% Microseconds. The engine is a VM of its own, on a loaded machine.
-define(PAUSE, 2 * 1000 * 1000).

%% RabbitMQ has Khepri from 3.13 on, which needs Erlang 26. On 23 a process that one of high priority
%% asks for its status always says that it runs.
khepri_test_() ->
    case list_to_integer(erlang:system_info(otp_release)) >= 25 of
        true -> khepri();
        false -> []
    end.

khepri() ->
    {foreach, fun set_up/0, fun tear_down/1,
     [fun(Set) -> {Name, {timeout, 60, fun() -> Test(Set) end}} end
      || {Name, Test} <- [{"export", fun an_export_is_read/1},
                          {"stop", fun a_stop_is_exact_while_metadata_changes/1},
                          {"not written", fun the_log_is_waited_for/1},
                          {"never written", fun a_log_that_is_not_written_is_no_stop/1},
                          {"unchanged", fun an_entry_in_spite_of_the_lock_is_seen/1},
                          {"moved on", fun a_state_that_moved_on_is_not_exported/1},
                          {"too long", fun nobody_waits_for_ever/1},
                          {"killed", fun a_lock_ends_with_its_taker/1},
                          {"not wanted", fun what_is_not_wanted_is_not_copied/1},
                          {"no answer", fun a_store_that_does_not_answer_is_an_error/1},
                          {"ended", fun an_export_ends_when_nobody_wants_it/1}]]}.

an_export_is_read(_) ->
    Session = attach(),
    {ok, #{store := khepri}} = ask(Session, checkpoint_begin),
    ?assertMatch({error, #{code := busy}}, ask(Session, checkpoint_begin)),
    change(late, 1),
    ?assertEqual([{put, [branch, <<"a">>], {p_data, 1}, #{}},
                  {put, [branch, <<"b">>], {p_data, 2}, #{}},
                  {put, [late], {p_data, 1}, #{}},
                  {put, [top], {p_data, 0}, #{}}], lists:sort(stream(Session))),
    {ok, _} = ask(Session, checkpoint_end),
    nothing_is_left().

%% Each of several writers puts a number that rises by one: the sum of what is in the store is the
%% number of changes, and so the index of the log at the stop.
a_stop_is_exact_while_metadata_changes(#{directory := Directory}) ->
    Writers = [spawn_link(fun() -> write_all_the_time(Number, 1) end)
               || Number <- lists:seq(1, 4)],
    Steps = lists:append([[{ask, checkpoint_begin, #{}}, {stop, ?PAUSE, ok}, {meet, Name},
                           {ask, checkpoint_end, #{}}] || Name <- ["one", "two", "three"]]),
    _ = hot_backup_engine:start(Directory, Steps),
    [begin
         hot_backup_engine:reached(Directory, Name),
         Sum = lists:sum([Count || {put, [Writer], {p_data, Count}, _} <- export(),
                                   is_integer(Writer)]),
         ?assertEqual([{last_index_at_stop, 3 + Sum}],
                      ets:lookup(store_metrics, last_index_at_stop)),
         hot_backup_engine:go(Directory, Name)
     end || Name <- ["one", "two", "three"]],
    Stops = [Stop || {ok, #{outcome := _} = Stop} <- hot_backup_engine:results(Directory)],
    ?assertMatch([#{outcome := held, store_us := _}, #{outcome := held}, #{outcome := held}],
                 Stops),
    [begin unlink(Writer), exit(Writer, kill) end || Writer <- Writers].

the_log_is_waited_for(#{log := Log}) ->
    Log ! {delay, 100},
    store ! {change, self(), slow, 1},
    {ok, Lock} = rabbit_hot_backup_store_lock:take(self(), ?PAUSE),
    ?assertMatch(#{last_index := 4, last_written_index := 3, last_applied := 3}, key_metrics()),
    ?assert(rabbit_hot_backup_store_lock:is_unchanged(Lock)),
    store ! {change, self(), later, 1},
    {ok, Export, Held} = rabbit_hot_backup_store_lock:export(Lock),
    ?assert(Held >= 50 * 1000),
    Items = items(Export),
    ?assert(lists:keymember([slow], 2, Items)),
    ?assertNot(lists:keymember([later], 2, Items)),
    ok = rabbit_hot_backup_export:stop(Export).

a_log_that_is_not_written_is_no_stop(#{log := Log}) ->
    Log ! {delay, infinity},
    store ! {change, self(), slow, 1},
    ?assertEqual(busy, rabbit_hot_backup_store_lock:take(self(), ?PAUSE)),
    nothing_is_left().

an_entry_in_spite_of_the_lock_is_seen(_) ->
    [begin
         {ok, Lock} = rabbit_hot_backup_store_lock:take(self(), ?PAUSE),
         ?assert(rabbit_hot_backup_store_lock:is_unchanged(Lock)),
         Metrics = key_metrics(),
         true = ets:insert(store_metrics, maps:to_list(maps:merge(Metrics, Change))),
         ?assertNot(rabbit_hot_backup_store_lock:is_unchanged(Lock)),
         true = ets:insert(store_metrics, maps:to_list(Metrics)),
         ok = rabbit_hot_backup_store_lock:release(Lock)
     end || Change <- [#{last_index => 4}, #{term => 2}]].

%% The lock has ended before it was released.
a_state_that_moved_on_is_not_exported(#{log := Log}) ->
    Log ! {delay, 20},
    store ! {change, self(), slow, 1},
    {ok, Lock} = rabbit_hot_backup_store_lock:take(self(), 1000),
    store ! {change, self(), later, 1},
    eventually(fun() -> maps:get(last_applied, key_metrics()) =:= 5 end),
    ?assertNot(rabbit_hot_backup_store_lock:is_unchanged(Lock)),
    ?assertMatch({error, {ok, 5}}, rabbit_hot_backup_store_lock:export(Lock)),
    nothing_is_left().

nobody_waits_for_ever(_) ->
    {ok, Lock} = rabbit_hot_backup_store_lock:take(self(), 1000),
    {Waited, ok} = timer:tc(fun() -> change(late, 1) end),
    ?assert(Waited > 500 * 1000),
    ?assertMatch({error, _}, rabbit_hot_backup_store_lock:export(Lock)),
    nothing_is_left().

a_lock_ends_with_its_taker(_) ->
    Test = self(),
    Taker = spawn(fun() ->
                          {ok, _} = rabbit_hot_backup_store_lock:take(Test, 60 * 1000 * 1000),
                          Test ! taken,
                          receive never -> ok end
                  end),
    receive taken -> ok end,
    exit(Taker, kill),
    ok = change(late, 1),
    nothing_is_left().

what_is_not_wanted_is_not_copied(_) ->
    {ok, Lock} = rabbit_hot_backup_store_lock:take(self(), ?PAUSE),
    Export = rabbit_hot_backup_export:start(self(), fun() -> true end),
    eventually(fun() -> rabbit_hot_backup_export:has_asked(Export) end),
    ok = rabbit_hot_backup_export:stop(Export),
    ok = rabbit_hot_backup_store_lock:release(Lock),
    ok = change(late, 1),
    ?assertEqual([], ets:lookup(store_metrics, copies)),
    nothing_is_left().

a_store_that_does_not_answer_is_an_error(#{store := Store}) ->
    exit(Store, kill),
    eventually(fun() -> whereis(store) =:= undefined end),
    ?assertMatch({error, #{code := failed, hint := <<_, _/binary>>}},
                 rabbit_hot_backup_store_lock:take(self(), ?PAUSE)),
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    {ok, _} = ask(Session, checkpoint_stream, #{stream => 1}),
    ?assertMatch({stream_abort, 1, #{code := failed}}, expect(stream_abort)),
    {ok, _} = ask(Session, checkpoint_end),
    nothing_is_left().

an_export_ends_when_nobody_wants_it(_) ->
    [change(Number, binary:copy(<<Number:32>>, 20000)) || Number <- lists:seq(1, 100)],
    [begin
         Session = attach(),
         {ok, _} = ask(Session, checkpoint_begin),
         {ok, _} = ask(Session, checkpoint_stream, #{stream => 1}),
         ?assertMatch({data, 1, _, _}, expect(data)),
         End(Session),
         nothing_is_left()
     end || End <- [fun(Session) -> {ok, _} = ask(Session, checkpoint_end) end,
                    fun(Session) -> exit(session(Session), kill) end]].

%% ------------------------------------------------------------------

stream(Session) ->
    {ok, _} = ask(Session, checkpoint_stream, #{stream => 1}),
    streamed(Session, []).

streamed(Session, Payloads) ->
    receive
        {data, 1, Sequence, Payload} ->
            Session ! {ack, 1, Sequence},
            streamed(Session, [Payload | Payloads]);
        {stream_end, 1, _} ->
            lists:append([binary_to_term(Payload) || Payload <- lists:reverse(Payloads)])
    after 10000 -> error(no_end)
    end.

items(Export) ->
    Test = self(),
    ok = rabbit_hot_backup_export:read(Export, fun(What) -> Test ! {handed, What}, ok end),
    handed().

handed() ->
    receive
        {handed, {payload, Payload, _}} -> binary_to_term(Payload) ++ handed();
        {handed, complete} -> []
    end.

%% What the checkpoint of the one session holds after its stop.
export() ->
    eventually(fun() -> length(exports()) =:= 1 end),
    items(hd(exports())).

exports() ->
    [Pid || Pid <- processes(),
            {current_function, {rabbit_hot_backup_export, serve, 2}}
                <- [process_info(Pid, current_function)]].

write_all_the_time(Writer, Number) ->
    ok = change(Writer, Number),
    write_all_the_time(Writer, Number + 1).

nothing_is_left() ->
    eventually(fun() -> [] =:= ours() end).

ours() ->
    [Pid || Pid <- processes(),
            {current_stacktrace, Stack} <- [process_info(Pid, current_stacktrace)],
            lists:any(fun({Module, _, _, _}) ->
                              Module =:= rabbit_hot_backup_export
                                  orelse Module =:= rabbit_hot_backup_store_lock
                      end, Stack)].

%% ------------------------------------------------------------------
%% The store

set_up() ->
    Supervisor = hot_backup_harness:start_plugin(#{}),
    store_metrics = ets:new(store_metrics, [named_table, public]),
    Standing = hot_backup_harness:stand_in(stand_ins()),
    Log = spawn(gen_batch_server, loop_wait, [1, none]),
    true = register(store_log, Log),
    Store = spawn(fun() -> store() end),
    true = register(store, Store),
    ok = change(top, 0),
    #{supervisor => Supervisor, directory => hot_backup_harness:temp_dir(), standing => Standing,
      log => Log, store => Store}.

tear_down(#{supervisor := Supervisor, directory := Directory, standing := Standing, log := Log,
            store := Store}) ->
    hot_backup_harness:stop_plugin(Supervisor),
    [exit(Pid, kill) || Pid <- [Log, Store]],
    eventually(fun() -> whereis(store) =:= undefined andalso whereis(store_log) =:= undefined end),
    hot_backup_harness:unload(Standing),
    true = ets:delete(store_metrics),
    hot_backup_harness:remove(Directory).

stand_ins() ->
    [{rabbit_khepri, ["is_enabled() -> true.", "get_store_id() -> store."]},
     {ra, ["local_query({store, _}, Function, Timeout) ->"
           "    rabbit_hot_backup_khepri_tests:local_query(Function, Timeout).",
           "key_metrics({store, _}) -> rabbit_hot_backup_khepri_tests:key_metrics()."]},
     {ra_system, ["fetch(coordination) -> #{names => #{wal => store_log}};"
                  "fetch(_) -> undefined."]},
     {khepri_machine, ["get_root(State) ->"
                       "    ets:update_counter(store_metrics, copies, 1, {copies, 0}), State."]},
     {gen_batch_server, ["loop_wait(Delay, State) ->"
                         "    receive"
                         "        {write, Store, Index} ->"
                         "            sync(Delay), Store ! {written, Index},"
                         "            loop_wait(Delay, State);"
                         "        {delay, New} -> loop_wait(New, State)"
                         "    end.",
                         "sync(Delay) -> receive after Delay -> ok end."]}].

local_query(Function, Timeout) ->
    case whereis(store) of
        undefined -> exit(noproc);
        Store ->
            Monitor = monitor(process, Store),
            Store ! {query, self(), Monitor, Function},
            receive
                {answer, Monitor, Answer} -> demonitor(Monitor, [flush]), Answer;
                {'DOWN', Monitor, _, _, Reason} -> exit(Reason)
            after Timeout -> {timeout, store}
            end
    end.

%% In the hold, too: what it says there is the index of the image.
key_metrics() ->
    Metrics = maps:from_list(ets:tab2list(store_metrics)),
    case erlang:system_info(multi_scheduling) of
        enabled -> ok;
        _ ->
            #{last_index := Last} = Metrics,
            true = ets:insert(store_metrics, {last_index_at_stop, Last})
    end,
    maps:without([copies, last_index_at_stop], Metrics).

%% Returns when it has taken effect.
change(Key, Value) ->
    store ! {change, self(), Key, Value},
    receive {changed, Key} -> ok end.

store() ->
    true = ets:insert(store_metrics, [{last_index, 2}, {last_written_index, 2}, {last_applied, 2},
                                      {term, 1}]),
    Branch = node_of(#{<<"a">> => leaf(1), <<"b">> => leaf(2)}),
    store(node_of(#{branch => Branch}), 2, 2, []).

store(Tree, Last, Applied, Changes) ->
    receive
        {query, From, Reference, Function} ->
            From ! {answer, Reference, {ok, {{Applied, 1}, Function(Tree)}, store}},
            store(Tree, Last, Applied, Changes);
        {change, From, Key, Value} ->
            true = ets:insert(store_metrics, {last_index, Last + 1}),
            store_log ! {write, self(), Last + 1},
            store(Tree, Last + 1, Applied, Changes ++ [{From, Key, Value}]);
        {written, Index} ->
            true = ets:insert(store_metrics, [{last_written_index, Index}, {last_applied, Index}]),
            {Done, Others} = lists:split(Index - Applied, Changes),
            Next = lists:foldl(fun({From, Key, Value}, {node, Properties, Payload, Children}) ->
                                       From ! {changed, Key},
                                       {node, Properties, Payload, Children#{Key => leaf(Value)}}
                               end, Tree, Done),
            store(Next, Last, Index, Others)
    end.

node_of(Children) ->
    {node, #{}, '$__NO_PAYLOAD__', Children}.

leaf(Value) ->
    {node, #{}, {p_data, Value}, #{}}.

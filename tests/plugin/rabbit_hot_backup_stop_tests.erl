%% The stop as an engine sees it, over a real Mnesia without a broker: `held` is only said when the
%% checkpoint and what is in the files at that instant are the same.
-module(rabbit_hot_backup_stop_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/3, attach/0, eventually/1, stand_in/1, unload/1]).

%% Microseconds. The engine is a VM of its own, on a loaded machine.
-define(PAUSE, 2 * 1000 * 1000).

stop_test_() ->
    {setup,
     fun() ->
             Directory = hot_backup_harness:start_mnesia(),
             [{atomic, ok} = mnesia:create_table(Table, [{disc_copies, [node()]}])
              || Table <- [rabbit_vhost, rabbit_durable_queue]],
             {atomic, ok} = mnesia:create_table(in_memory, [{ram_copies, [node()]}]),
             Directory
     end,
     fun hot_backup_harness:stop_mnesia/1,
     {foreach,
      fun() -> {hot_backup_harness:start_plugin(#{}), hot_backup_harness:temp_dir()} end,
      fun({Supervisor, Directory}) ->
              hot_backup_harness:stop_plugin(Supervisor),
              hot_backup_harness:remove(Directory),
              enabled = erlang:system_info(multi_scheduling)
      end,
      [fun({_, Directory}) -> {Name, {timeout, 60, fun() -> Test(Directory) end}} end
       || {Name, Test} <- [{"held", fun the_node_is_held/1},
                           {"commits", fun commits_are_seen/1},
                           {"refused", fun an_engine_refuses/1},
                           {"killed in the hold", fun an_engine_that_dies_leaves_nothing/1},
                           {"timed out", fun a_request_that_times_out_leaves_nothing/1},
                           {"no checkpoint", fun there_is_no_stop_without_a_checkpoint/1},
                           {"every commit", fun every_durable_commit_counts/1},
                           {"dumped", fun a_dump_does_not_hide_a_commit/1},
                           {"locked", fun writers_wait_for_locked_tables/1},
                           {"locked too long", fun writers_do_not_wait_for_ever/1},
                           {"flushed", fun the_log_is_written/1},
                           {"names", fun names_of_ra_servers_are_looked_at/1},
                           {"late names", fun a_name_on_its_way_is_waited_for/1}]]}}.

the_node_is_held(Directory) ->
    Before = os:system_time(microsecond),
    _ = hot_backup_engine:start(Directory, [begin_checkpoint(), stop(), stop(), end_checkpoint()]),
    [{ok, #{instant := Begun}}, {ok, First}, {ok, Second}, {ok, _}] =
        hot_backup_engine:results(Directory),
    ?assertMatch(#{outcome := held}, First),
    ?assertMatch(#{outcome := held}, Second),
    #{instant := Instant, acquisition_us := Acquisition, hold_us := Hold, pause_us := Pause} =
        First,
    ?assert(Before =< Begun),
    ?assert(Begun =< Instant),
    ?assert(Instant =< maps:get(instant, Second)),
    ?assert(Acquisition + Hold =< Pause),
    ?assert(Pause < ?PAUSE).

commits_are_seen(Directory) ->
    _ = hot_backup_engine:start(Directory, [begin_checkpoint(), {meet, "memory"}, stop(),
                                            {meet, "disc"}, stop(), end_checkpoint(),
                                            begin_checkpoint(), stop()]),
    hot_backup_engine:reached(Directory, "memory"),
    ok = mnesia:dirty_write({in_memory, 1, 1}),
    {atomic, ok} = mnesia:transaction(fun() -> mnesia:write({in_memory, 2, 2}) end),
    hot_backup_engine:go(Directory, "memory"),
    hot_backup_engine:reached(Directory, "disc"),
    {atomic, ok} = mnesia:transaction(fun() -> mnesia:write({rabbit_vhost, <<"/">>, 1}) end),
    hot_backup_engine:go(Directory, "disc"),
    ?assertMatch([_, met, {ok, #{outcome := held}}, met, {ok, #{outcome := committed}}, _, _,
                  {ok, #{outcome := held}}],
                 hot_backup_engine:results(Directory)).

an_engine_refuses(Directory) ->
    _ = hot_backup_engine:start(Directory, [begin_checkpoint(), {stop, ?PAUSE, failed}, stop()]),
    ?assertMatch([_, {ok, #{outcome := refused}}, {ok, #{outcome := held}}],
                 hot_backup_engine:results(Directory)).

an_engine_that_dies_leaves_nothing(Directory) ->
    Session = hot_backup_engine:start(Directory, [begin_checkpoint(), {meet, "here"}, stop(),
                                                  {meet, "there"}]),
    Monitor = monitor(process, Session),
    hot_backup_engine:reached(Directory, "here"),
    %% It is stopped and cannot say that it has captured; then it is killed in the hold.
    [{Holder, Pid}] = [{Owner, Pid} || Port <- hot_backup_harness:ports(),
                                       {os_pid, Pid} <- [erlang:port_info(Port, os_pid)],
                                       is_integer(Pid),
                                       {connected, Owner} <- [erlang:port_info(Port, connected)]],
    "" = os:cmd("kill -STOP " ++ integer_to_list(Pid)),
    Killed = os:cmd("(sleep 0.3; kill -KILL " ++ integer_to_list(Pid) ++ ") > /dev/null 2>&1 & :"),
    ?assertEqual("", Killed),
    {ok, Held} = rabbit_hot_backup_holder:hold(Holder, #{max_pause => ?PAUSE}, fun() -> true end),
    ?assertMatch(#{outcome := refused}, Held),
    receive {'DOWN', Monitor, _, _, {shutdown, #{message := Message}}} ->
            ?assertMatch({match, _}, re:run(Message, "ended by signal 9"))
    after 10000 -> error(the_session_goes_on) end,
    eventually(fun hot_backup_harness:drained/0).

%% The answer to the request comes when nobody waits for it any more.
a_request_that_times_out_leaves_nothing(_) ->
    Holder = attach(),
    {ok, _} = ask(Holder, checkpoint_begin, #{}),
    Holder ! {request, 1, 20, stop, #{max_pause => 200 * 1000}},
    {ok, _} = ask(Holder, checkpoint_end, #{}),
    receive {reply, 1, _, _} -> error(answered) after 0 -> ok end,
    ?assert(is_process_alive(Holder)).

there_is_no_stop_without_a_checkpoint(_) ->
    ?assertMatch({error, #{code := failed}}, ask(attach(), stop, #{max_pause => ?PAUSE})).

writers_wait_for_locked_tables(Directory) ->
    _ = hot_backup_engine:start(Directory, [{ask, checkpoint_begin, #{lock => true}},
                                            {meet, "writer"}, stop(), end_checkpoint()]),
    hot_backup_engine:reached(Directory, "writer"),
    Writer = write_vhost(),
    hot_backup_engine:go(Directory, "writer"),
    ?assertMatch([_, met, {ok, #{outcome := held}}, _], hot_backup_engine:results(Directory)),
    receive {'DOWN', Writer, process, _, Reason} -> ?assertEqual(normal, Reason)
    after 10000 -> error(still_locked) end.

writers_do_not_wait_for_ever(_) ->
    Holder = attach(),
    {ok, _} = ask(Holder, checkpoint_begin, #{lock => true}),
    ?assertNotEqual([], mnesia:system_info(held_locks)),
    Writer = write_vhost(),
    receive {'DOWN', Writer, process, _, Reason} -> ?assertEqual(normal, Reason)
    after 10000 -> error(still_locked) end,
    {ok, _} = ask(Holder, checkpoint_end, #{}),
    ?assertEqual([], mnesia:system_info(held_locks)),
    %% Tables that somebody else has: the checkpoint is there all the same.
    Self = self(),
    Other = spawn(fun() ->
                          mnesia:transaction(fun() ->
                                                     mnesia:write_lock_table(rabbit_vhost),
                                                     Self ! locked,
                                                     receive go -> ok end
                                             end)
                  end),
    receive locked -> ok end,
    {ok, _} = ask(Holder, checkpoint_begin, #{lock => true}),
    Other ! go,
    {ok, _} = ask(Holder, checkpoint_end, #{}),
    eventually(fun() -> mnesia:system_info(held_locks) =:= [] end).

write_vhost() ->
    {_, Monitor} = spawn_monitor(
                     fun() ->
                             {atomic, ok} = mnesia:transaction(
                                              fun() ->
                                                      mnesia:write({rabbit_vhost, <<"late">>, 1})
                                              end)
                     end),
    Monitor.

every_durable_commit_counts(_) ->
    Write = fun(Key) -> fun() -> mnesia:write({rabbit_vhost, Key, 1}) end end,
    [begin
         Commits = rabbit_hot_backup_baseline:commits(),
         _ = Commit(),
         ?assertNotEqual({Name, Commits}, {Name, rabbit_hot_backup_baseline:commits()})
     end || {Name, Commit} <-
                [{transaction, fun() -> {atomic, ok} = mnesia:transaction(Write(1)) end},
                 {synchronous, fun() -> {atomic, ok} = mnesia:sync_transaction(Write(2)) end},
                 {dirty, fun() -> mnesia:dirty_write({rabbit_vhost, 3, 1}) end},
                 {sync_dirty, fun() -> mnesia:sync_dirty(Write(4)) end},
                 {deletion, fun() -> mnesia:dirty_delete({rabbit_vhost, 4}) end},
                 {counter, fun() -> mnesia:dirty_update_counter(rabbit_vhost, 5, 1) end},
                 {clearing, fun() -> {atomic, ok} = mnesia:clear_table(rabbit_vhost) end},
                 {schema, fun() ->
                                  {atomic, ok} = mnesia:create_table(another, []),
                                  {atomic, ok} = mnesia:delete_table(another)
                          end}]],
    Commits = rabbit_hot_backup_baseline:commits(),
    {atomic, ok} = mnesia:sync_transaction(fun() -> mnesia:write({in_memory, 1, 1}) end),
    {atomic, _} = mnesia:transaction(fun() -> mnesia:read(rabbit_vhost, 1) end),
    ok = mnesia:dirty_write({in_memory, 1, 2}),
    ?assertEqual(Commits, rabbit_hot_backup_baseline:commits()).

%% What Mnesia's counters say goes back when its log is dumped.
a_dump_does_not_hide_a_commit(_) ->
    dumped = mnesia:dump_log(),
    [begin
         [ok = mnesia:dirty_write({rabbit_vhost, Key, Key}) || Key <- lists:seq(1, Before)],
         Commits = rabbit_hot_backup_baseline:commits(),
         [ok = mnesia:dirty_write({rabbit_vhost, Key, Key}) || Key <- lists:seq(1, Between)],
         dumped = mnesia:dump_log(),
         [ok = mnesia:dirty_write({rabbit_vhost, Key, Key}) || Key <- lists:seq(1, After)],
         ?assertNotEqual(Commits, rabbit_hot_backup_baseline:commits())
     end || {Before, Between, After} <- [{0, 1, 0}, {0, 0, 1}, {1, 1, 0}, {1, 0, 1}, {1, 1, 1},
                                         {3, 1, 3}, {2, 5, 2}]].

the_log_is_written(_) ->
    Commits = rabbit_hot_backup_baseline:commits(),
    Unique = crypto:strong_rand_bytes(32),
    ok = mnesia:dirty_write({rabbit_vhost, unique, Unique}),
    ?assertEqual(nomatch, binary:match(log(), Unique)),
    {ok, Old} = rabbit_hot_backup_baseline:flush(Commits),
    ?assertNotEqual(nomatch, binary:match(log(), Unique)),
    ?assertNot(rabbit_hot_backup_baseline:is_unchanged(Old)),
    {ok, New} = rabbit_hot_backup_baseline:flush(rabbit_hot_backup_baseline:commits()),
    ?assert(rabbit_hot_backup_baseline:is_unchanged(New)).

log() ->
    {ok, Log} = file:read_file(filename:join(mnesia:system_info(directory), "LATEST.LOG")),
    Log.

%% ------------------------------------------------------------------
%% Names of Ra servers

names_of_ra_servers_are_looked_at(Directory) ->
    with_names(Directory, fun(File) ->
        register_name(<<"1">>, one),
        Baseline = baseline(),
        ?assertEqual([one], written(File)),
        ?assert(rabbit_hot_backup_baseline:is_unchanged(Baseline)),
        ?assert(rabbit_hot_backup_baseline:is_confirmed(Baseline)),
        %% A server that is started again is the same.
        register_name(<<"1">>, one),
        ?assert(rabbit_hot_backup_baseline:is_unchanged(Baseline)),
        ?assert(rabbit_hot_backup_baseline:is_confirmed(Baseline)),
        register_name(<<"2">>, two),
        ?assertNot(rabbit_hot_backup_baseline:is_unchanged(Baseline)),
        true = ets:delete(names, <<"1">>),
        ?assert(rabbit_hot_backup_baseline:is_unchanged(Baseline)),
        ?assertNot(rabbit_hot_backup_baseline:is_confirmed(Baseline))
    end).

a_name_on_its_way_is_waited_for(Directory) ->
    with_names(Directory, fun(File) ->
        true = ets:insert(names, {<<"1">>, self(), self(), one, cluster}),
        _ = spawn_link(fun() ->
                               receive after 100 -> ok end,
                               ok = dets:insert(names_file, {one, <<"1">>})
                       end),
        _ = baseline(),
        ?assertEqual([one], written(File))
    end).

%% Tables like Ra's. This process has them.
with_names(Directory, Test) ->
    names = ets:new(names, [named_table, public]),
    File = filename:join(Directory, "names.dets"),
    {ok, names_file} = dets:open_file(names_file, [{file, File}, {auto_save, infinity}]),
    Standing = stand_in([{ra_system, ["fetch(quorum_queues) ->"
                                      "    #{names => #{directory => names,"
                                      "                 directory_rev => names_file}};"
                                      "fetch(_) -> undefined."]}]),
    try
        Test(File)
    after
        unload(Standing),
        ok = dets:close(names_file),
        true = ets:delete(names)
    end.

register_name(UId, Name) ->
    true = ets:insert(names, {UId, self(), self(), Name, cluster}),
    ok = dets:insert(names_file, {Name, UId}).

baseline() ->
    {ok, Baseline} =
        rabbit_hot_backup_baseline:flush(rabbit_hot_backup_baseline:commits()),
    Baseline.

%% What a copy of the file says.
written(File) ->
    {ok, _} = file:copy(File, File ++ ".copy"),
    {ok, Copy} = dets:open_file(make_ref(), [{file, File ++ ".copy"}, {access, read},
                                             {repair, false}]),
    Names = dets:select(Copy, [{{'$1', '_'}, [], ['$1']}]),
    ok = dets:close(Copy),
    ok = file:delete(File ++ ".copy"),
    Names.

%% ------------------------------------------------------------------

begin_checkpoint() ->
    {ask, checkpoint_begin, #{}}.

end_checkpoint() ->
    {ask, checkpoint_end, #{}}.

stop() ->
    {stop, ?PAUSE, ok}.

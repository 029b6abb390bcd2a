%% The source of items, and sessions that stream it, over a real Mnesia without a broker.
-module(rabbit_hot_backup_metadata_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/2, ask/3, attach/0, expect/1, eventually/1, checkpoints/0]).

-define(WINDOW, 1024 * 1024).

metadata_test_() ->
    {setup,
     fun() ->
             Directory = hot_backup_harness:start_mnesia(),
             create_tables(),
             Directory
     end,
     fun hot_backup_harness:stop_mnesia/1,
     {foreach,
      fun() -> hot_backup_harness:start_plugin(#{}) end,
      fun(Supervisor) ->
              hot_backup_harness:stop_plugin(Supervisor),
              [] = checkpoints()
      end,
      [{timeout, 120, Test} ||
          Test <- [{"tables", fun tables_are_chosen/0},
                   {"a whole checkpoint", fun a_checkpoint_is_streamed/0},
                   {"consistent under writers", fun snapshots_are_consistent/0},
                   {"transactions in flight", fun commits_in_flight_are_seen_whole/0},
                   {"idle transactions", fun an_idle_transaction_holds_nothing_up/0},
                   {"in memory here", fun a_table_in_memory_is_read_from_there/0},
                   {"the window holds", fun nothing_grows_while_nobody_acknowledges/0},
                   {"long batches", fun batches_are_split_between_items/0},
                   {"huge batches", fun a_batch_is_never_encoded_as_a_whole/0},
                   {"single items", fun single_items_are_collected/0},
                   {"one checkpoint a session", fun a_session_has_one_checkpoint/0},
                   {"no checkpoint", fun nothing_streams_without_a_checkpoint/0},
                   {"the engine dies", fun an_engine_that_dies_leaves_nothing/0},
                   {"the session dies", fun a_session_that_is_killed_leaves_nothing/0},
                   {"the run dies", fun a_run_that_dies_aborts_the_stream/0},
                   {"ended early", fun an_early_end_aborts_the_stream/0},
                   {"stalled", fun an_engine_that_stalls_is_given_up/0},
                   {"silent", fun an_engine_that_holds_a_checkpoint_in_silence_is_given_up/0},
                   {"left behind", fun stale_checkpoints_are_reaped/0},
                   {"deadline", fun a_checkpoint_that_nobody_waits_for_is_ended/0}]]}}.

create_tables() ->
    Disc = [{disc_copies, [node()]}],
    [{atomic, ok} = mnesia:create_table(Table, Disc ++ Extra)
     || {Table, Extra} <- [{rabbit_vhost, []}, {rabbit_user, []}, {rabbit_durable_queue, []},
                           {rabbit_durable_route, [{type, bag}]},
                           {rabbit_delayed_message, [{type, ordered_set}]},
                           {rabbit_node_maintenance_states, []},
                           {own_content, [{local_content, true}]}]],
    {atomic, ok} = mnesia:create_table(big, [{disc_only_copies, [node()]}]),
    {atomic, ok} = mnesia:create_table(tracked_connection, [{ram_copies, [node()]}]),
    %% As on a RAM node.
    {atomic, ok} = mnesia:create_table(rabbit_runtime_parameters, [{ram_copies, [node()]}]),
    ok.

%% ------------------------------------------------------------------

tables_are_chosen() ->
    {Tables, Skipped} = rabbit_hot_backup_metadata:tables(),
    ?assertEqual([schema, rabbit_vhost, rabbit_user, rabbit_runtime_parameters,
                  rabbit_durable_queue, rabbit_durable_route, big, rabbit_delayed_message],
                 Tables),
    Reasons = maps:from_list([{Table, Reason} || #{table := Table, reason := Reason} <- Skipped]),
    ?assertMatch(#{<<"own_content">> := _, <<"rabbit_node_maintenance_states">> := _,
                   <<"rabbit_user_permission">> := <<"the node has no such table">>}, Reasons),
    ?assertNot(maps:is_key(<<"tracked_connection">>, Reasons)).

a_checkpoint_is_streamed() ->
    fill(rabbit_durable_queue, 1000, 10),
    fill(big, 3, 10),
    Session = attach(),
    {ok, #{checkpoint := Name, store := mnesia, tables := Tables, skipped := [_ | _],
           instant := Instant, activation_us := Duration}} = ask(Session, checkpoint_begin),
    ?assert(is_binary(Name)),
    ?assert(Duration > 0),
    ?assert(abs(os:system_time(microsecond) - Instant) < 10000000),
    ?assert(lists:member(<<"rabbit_durable_queue">>, Tables)),
    ?assertMatch([{rabbit_hot_backup, _, _}], checkpoints()),
    {Items, #{messages := Messages, bytes := Bytes, items := Count}} = stream(Session, 3),
    ?assert(Messages > 2),
    ?assert(Bytes > 1000 * 10),
    ?assertEqual(Count, length(Items)),
    ?assertEqual(log_header, element(1, hd(Items))),
    Snapshot = replay(Items),
    ?assertEqual(lists:sort(content(rabbit_durable_queue)),
                 lists:sort(maps:get(rabbit_durable_queue, Snapshot))),
    ?assertEqual(3, length(maps:get(big, Snapshot))),
    {ok, #{}} = ask(Session, checkpoint_end),
    ?assertEqual([], checkpoints()),
    {ok, #{}} = ask(Session, checkpoint_end).

%% Transactions, of the kind that RabbitMQ uses, keep what each table says of a key in agreement
%% with the others. Every snapshot must show agreement, though it is read for a long time while
%% the writers go on.
snapshots_are_consistent() ->
    Keys = 2000,
    [ok = write_agreeing(Key, 0, <<>>) || Key <- lists:seq(1, Keys)],
    Writers = [spawn_link(fun() -> rand:seed(exsss, N), writer(Keys, <<>>) end)
               || N <- [1, 2, 3]],
    Moved = [snapshot_is_consistent(Stream) || Stream <- lists:seq(1, 12)],
    [begin unlink(Writer), exit(Writer, kill) end || Writer <- Writers],
    %% The writers did write while it was read, or this test has shown nothing.
    ?assert(lists:sum(Moved) > 100).

snapshot_is_consistent(Stream) ->
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    {Items, _} = stream(Session, Stream, fun() -> receive after 2 -> ok end end),
    {ok, _} = ask(Session, checkpoint_end),
    end_session(Session),
    consistent(Items).

consistent(Items) ->
    Snapshot = replay(Items),
    Queues = maps:from_list([{Key, Version} || {_, {agreeing, Key}, {Version, _}}
                                                  <- maps:get(rabbit_durable_queue, Snapshot, [])]),
    Users = maps:from_list([{Key, Version} || {_, {agreeing, Key}, {Version, _}}
                                                 <- maps:get(rabbit_user, Snapshot, [])]),
    Routes = lists:sort([{Key, Version} || {_, {agreeing, Key}, {Version, _}}
                                              <- maps:get(rabbit_durable_route, Snapshot, [])]),
    ?assertEqual(Queues, Users),
    ?assertEqual(lists:sort([{Key, V} || {Key, Version} <- maps:to_list(Queues),
                                         V <- [Version, Version + 1]]), Routes),
    length([deleted || Item <- Items, tuple_size(Item) =:= 2]).

%% A writer is held up at any point of its commit, the checkpoint activated, half of it read, the
%% writer let go and the rest read.
commits_in_flight_are_seen_whole() ->
    Keys = 2000,
    %% So much that the window stops the source in the middle of a table.
    Padding = binary:copy(<<"x">>, 1000),
    [ok = write_agreeing(Key, 0, Padding) || Key <- lists:seq(1, Keys)],
    Writer = spawn_link(fun() -> rand:seed(exsss, 4), writer(Keys, Padding) end),
    InFlight = [Stream || Stream <- lists:seq(1, 40), commit_is_seen_whole(Writer, Stream)],
    %% Or this test has shown nothing.
    ?assert(length(InFlight) >= 3),
    unlink(Writer),
    exit(Writer, kill),
    [ok = delete_agreeing(Key) || Key <- lists:seq(1, Keys)],
    ok.

%% Tells whether a commit was in flight.
commit_is_seen_whole(Writer, Stream) ->
    receive after rand:uniform(5) -> ok end,
    Session = attach(),
    true = erlang:suspend_process(Writer),
    {current_stacktrace, Stack} = process_info(Writer, current_stacktrace),
    InFlight = [found || {mnesia_tm, multi_commit, _, _} <- Stack] =/= [],
    Session ! {request, 1, 20000, checkpoint_begin, #{}},
    %% Without a commit in flight the answer comes although the writer stands still.
    Resumed = receive
                  {reply, 1, ok, _} -> false
              after 100 ->
                      true = erlang:resume_process(Writer),
                      {reply, 1, ok, _} = expect(reply),
                      true
              end,
    {ok, #{}} = ask(Session, checkpoint_stream, #{stream => Stream}),
    {Half, Next} = half(Session, Stream, 0, []),
    _ = [true = erlang:resume_process(Writer) || not Resumed],
    receive after 20 -> ok end,
    Session ! {ack, Stream, Next - 1},
    {Items, _} = stream(Session, Stream, fun() -> ok end, Next, Half),
    {ok, _} = ask(Session, checkpoint_end),
    end_session(Session),
    _ = consistent(Items),
    InFlight.

%% A transaction that sits in its fun has written nothing yet, and what it writes is retained.
an_idle_transaction_holds_nothing_up() ->
    fill(rabbit_user, 10, 10),
    Before = lists:sort(content(rabbit_user)),
    Test = self(),
    {Writer, Monitor} =
        spawn_monitor(fun() ->
                              {atomic, ok} = mnesia:transaction(fun() ->
                                  ok = mnesia:write({rabbit_user, 1, changed}),
                                  Test ! {self(), inside},
                                  receive go_on -> ok end,
                                  mnesia:write({rabbit_user, 2, changed})
                              end)
                      end),
    receive {Writer, inside} -> ok after 10000 -> error(no_transaction) end,
    Session = attach(),
    Session ! {request, 1, 10000, checkpoint_begin, #{}},
    receive {reply, 1, ok, _} -> ok after 3000 -> error(held_up) end,
    Writer ! go_on,
    receive {'DOWN', Monitor, _, _, normal} -> ok after 10000 -> error(not_committed) end,
    ?assertNotEqual(Before, lists:sort(content(rabbit_user))),
    {Items, _} = stream(Session, 2),
    {ok, _} = ask(Session, checkpoint_end),
    ?assertEqual(Before, lists:sort(maps:get(rabbit_user, replay(Items)))),
    {atomic, ok} = mnesia:clear_table(rabbit_user).

a_table_in_memory_is_read_from_there() ->
    fill(rabbit_runtime_parameters, 100, 10),
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    %% It is a checkpoint: what comes later is not in it.
    ok = mnesia:dirty_write({rabbit_runtime_parameters, 1, later}),
    {Items, _} = stream(Session, 1),
    {ok, _} = ask(Session, checkpoint_end),
    Records = maps:get(rabbit_runtime_parameters, replay(Items)),
    ?assertEqual(100, length(Records)),
    ?assertNot(lists:member({rabbit_runtime_parameters, 1, later}, Records)),
    {atomic, ok} = mnesia:clear_table(rabbit_runtime_parameters).

%% Up to the first records of one of the tables.
half(Session, Stream, Next, Lists) ->
    {data, Stream, Next, Payload} = expect(data),
    Items = binary_to_term(Payload),
    case [found || {rabbit_user, {agreeing, _}, _} <- Items] of
        [] ->
            Session ! {ack, Stream, Next},
            half(Session, Stream, Next + 1, [Items | Lists]);
        _ ->
            %% The source goes on only when this is acknowledged, but for what the window still
            %% takes.
            {[Items | Lists], Next + 1}
    end.

writer(Keys, Padding) ->
    Key = rand:uniform(Keys),
    case rand:uniform(4) of
        1 -> delete_agreeing(Key);
        _ -> write_agreeing(Key, rand:uniform(1000000), Padding)
    end,
    writer(Keys, Padding).

write_agreeing(Key, Version, Padding) ->
    Id = {agreeing, Key},
    mnesia:activity(sync_transaction, fun() ->
        ok = mnesia:write({rabbit_durable_queue, Id, {Version, Padding}}),
        ok = mnesia:delete({rabbit_durable_route, Id}),
        ok = mnesia:write({rabbit_durable_route, Id, {Version, Padding}}),
        ok = mnesia:write({rabbit_user, Id, {Version, Padding}}),
        mnesia:write({rabbit_durable_route, Id, {Version + 1, Padding}})
    end).

delete_agreeing(Key) ->
    mnesia:activity(sync_transaction, fun() ->
        [ok = mnesia:delete({Table, {agreeing, Key}})
         || Table <- [rabbit_user, rabbit_durable_route, rabbit_durable_queue]],
        ok
    end).

%% 40 MB behind a window of 1 MiB: nothing in the session, the writer or the mailbox of the engine
%% grows.
nothing_grows_while_nobody_acknowledges() ->
    fill(rabbit_delayed_message, 4000, 10000),
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    {ok, #{}} = ask(Session, checkpoint_stream, #{stream => 1}),
    Bytes = slow_reader(Session, 0, 0),
    ?assert(Bytes > 4000 * 10000),
    {ok, _} = ask(Session, checkpoint_end),
    _ = mnesia:clear_table(rabbit_delayed_message).

slow_reader(Session, Next, Bytes) ->
    %% Give the source every chance to send too much.
    receive after 5 -> ok end,
    Messages = [{Sequence, byte_size(Payload)} || {data, 1, Sequence, Payload} <- mailbox()],
    Outstanding = lists:sum([Size || {_, Size} <- Messages]),
    ?assert(Outstanding =< ?WINDOW orelse length(Messages) =:= 1),
    {memory, Memory} = process_info(Session, memory),
    ?assert(Memory < 4 * ?WINDOW),
    %% The payloads that it holds are not in its memory.
    {binary, Binaries} = process_info(Session, binary),
    ?assert(lists:sum([Size || {_, Size, _} <- lists:ukeysort(1, Binaries)]) < 4 * ?WINDOW),
    receive
        {data, 1, Next, Payload} ->
            Session ! {ack, 1, Next},
            slow_reader(Session, Next + 1, Bytes + byte_size(Payload));
        {stream_end, 1, #{messages := Next, bytes := Bytes}} ->
            Bytes
    after 10000 ->
            error({nothing_after, Next})
    end.

mailbox() ->
    {messages, Messages} = process_info(self(), messages),
    Messages.

batches_are_split_between_items() ->
    Items = [{table, N, binary:copy(<<N>>, 100000)} || N <- lists:seq(1, 100)]
        ++ [{table, 101, binary:copy(<<1>>, 3000000)}, {table, 102, small}],
    Payloads = collect([Items]),
    ?assertEqual(Items, lists:append([binary_to_term(Payload) || {Payload, _} <- Payloads])),
    ?assertEqual(length(Items), lists:sum([Count || {_, Count} <- Payloads])),
    [?assert(byte_size(Payload) =< ?WINDOW orelse Count =:= 1) || {Payload, Count} <- Payloads].

%% 500 records that all hold the same large binary, which is encoded 500 times.
a_batch_is_never_encoded_as_a_whole() ->
    Large = binary:copy(<<"x">>, 400000),
    Items = [{table, N, Large} || N <- lists:seq(1, 500)],
    garbage_collect(),
    Before = erlang:memory(binary),
    Watcher = spawn_link(fun() -> process_flag(priority, high), highest(0) end),
    Sink = rabbit_hot_backup_metadata:sink(fun(_) -> garbage_collect(), ok end),
    {ok, _} = rabbit_hot_backup_metadata:write(Sink, Items),
    Watcher ! {tell, self()},
    receive {highest, Highest} -> ?assert(Highest - Before < 32 * ?WINDOW) end.

highest(Highest) ->
    receive
        {tell, Test} -> Test ! {highest, Highest}
    after 1 ->
            highest(max(Highest, erlang:memory(binary)))
    end.

%% As Khepri's export comes.
single_items_are_collected() ->
    Items = [{put, [N], {p_data, binary:copy(<<"x">>, N rem 3000)}, #{}}
             || N <- lists:seq(1, 4000)],
    Payloads = collect([[Item] || Item <- Items]),
    ?assertEqual(Items, lists:append([binary_to_term(Payload) || {Payload, _} <- Payloads])),
    ?assert(length(Payloads) =< 40),
    [?assert(Count =< 500 andalso byte_size(Payload) < 300000) || {Payload, Count} <- Payloads].

collect(Calls) ->
    Test = self(),
    HandOver = fun(What) -> Test ! {handed, What}, ok end,
    %% The callbacks, as Mnesia and Khepri call them.
    {ok, Opened} = rabbit_hot_backup_metadata:open_write(rabbit_hot_backup_metadata:sink(HandOver)),
    Written = lists:foldl(fun(Items, Sink) ->
                                  {ok, Next} = rabbit_hot_backup_metadata:write(Sink, Items),
                                  Next
                          end, Opened, Calls),
    {ok, _} = rabbit_hot_backup_metadata:commit_write(Written),
    collected().

collected() ->
    receive
        {handed, {payload, Payload, Count}} -> [{Payload, Count} | collected()];
        {handed, complete} -> []
    after 1000 -> error(incomplete)
    end.

%% ------------------------------------------------------------------
%% What must not be left

a_session_has_one_checkpoint() ->
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    ?assertMatch({error, #{code := busy}}, ask(Session, checkpoint_begin)),
    ?assertMatch([_], checkpoints()),
    {ok, _} = ask(Session, checkpoint_end).

nothing_streams_without_a_checkpoint() ->
    Session = attach(),
    ?assertMatch({error, #{code := failed}}, ask(Session, checkpoint_stream, #{stream => 1})).

an_engine_that_dies_leaves_nothing() ->
    [begin
         Engine = engine(Stage),
         exit(Engine, kill),
         eventually(fun hot_backup_harness:drained/0)
     end || Stage <- [attached, holding, streaming]].

a_session_that_is_killed_leaves_nothing() ->
    [begin
         Session = engine_session(Stage),
         exit(Session, kill),
         eventually(fun hot_backup_harness:drained/0)
     end || Stage <- [attached, holding, streaming]].

%% An engine in a process of its own, brought to a stage of the backup.
engine(Stage) ->
    Test = self(),
    Engine = spawn(fun() ->
                           Session = to_stage(Stage),
                           Test ! {at, Stage, Session},
                           receive stop -> ok end
                   end),
    receive {at, Stage, Session} -> put(session, Session)
    after 30000 -> error({did_not_reach, Stage}) end,
    Engine.

engine_session(Stage) ->
    _ = engine(Stage),
    get(session).

to_stage(attached) ->
    attach();
to_stage(holding) ->
    Session = attach(),
    {ok, _} = ask(Session, checkpoint_begin),
    Session;
to_stage(streaming) ->
    fill(rabbit_delayed_message, 3000, 2000),
    Session = to_stage(holding),
    {ok, _} = ask(Session, checkpoint_stream, #{stream => 1}),
    {data, 1, 0, _} = expect(data),
    Session.

a_run_that_dies_aborts_the_stream() ->
    Session = to_stage(streaming),
    [Run] = [Pid || Pid <- processes(),
                    {initial_call, _} <- [process_info(Pid, initial_call)],
                    {current_function, {mnesia_log, backup_checkpoint, 3}}
                        <- [process_info(Pid, current_function)]],
    exit(Run, kill),
    {stream_abort, 1, #{code := failed}} = expect(stream_abort),
    %% The session goes on.
    {ok, _} = ask(Session, checkpoint_end),
    eventually(fun hot_backup_harness:drained/0),
    {ok, _} = ask(Session, checkpoint_begin),
    {ok, _} = ask(Session, checkpoint_end).

an_early_end_aborts_the_stream() ->
    Session = to_stage(streaming),
    {ok, _} = ask(Session, checkpoint_end),
    {stream_abort, 1, #{code := cancelled}} = expect(stream_abort),
    eventually(fun hot_backup_harness:drained/0),
    %% An acknowledgement may have been on its way.
    Session ! {ack, 1, 0},
    {ok, _} = ask(Session, checkpoint_begin),
    {_, #{items := _}} = stream(Session, 2),
    {ok, _} = ask(Session, checkpoint_end).

an_engine_that_stalls_is_given_up() ->
    fill(rabbit_delayed_message, 3000, 2000),
    hot_backup_harness:set(#{stall_timeout => 1000}),
    Session = attach(),
    {ok, #{job := Job}} = ask(Session, job_begin, #{kind => backup, repository => <<"/r">>}),
    {ok, _} = ask(Session, checkpoint_begin),
    {ok, _} = ask(Session, checkpoint_stream, #{stream => 1}),
    Monitor = monitor(process, Session),
    %% It reports progress and acknowledges nothing.
    Progress = spawn_link(fun() -> report(Session, Job) end),
    receive {'DOWN', Monitor, _, _, {shutdown, #{code := stalled}}} -> ok
    after 10000 -> error(not_given_up) end,
    unlink(Progress),
    exit(Progress, kill),
    ?assertMatch([#{id := Job, state := failed, error := #{code := stalled}} | _],
                 rabbit_hot_backup:history()),
    eventually(fun hot_backup_harness:drained/0).

report(Session, Job) ->
    Session ! {notice, progress, #{job => Job, phase => <<"metadata">>, done => 1, total => 2}},
    receive after 50 -> report(Session, Job) end.

an_engine_that_holds_a_checkpoint_in_silence_is_given_up() ->
    hot_backup_harness:set(#{stall_timeout => 300}),
    Session = to_stage(holding),
    Monitor = monitor(process, Session),
    receive {'DOWN', Monitor, _, _, {shutdown, #{code := stalled}}} -> ok
    after 10000 -> error(not_given_up) end,
    eventually(fun hot_backup_harness:drained/0).

stale_checkpoints_are_reaped() ->
    Ours = {rabbit_hot_backup, node(), {1, 1}},
    Other = {rabbit_hot_backup, 'other@nowhere', {1, 1}},
    [{ok, Name, _} = mnesia:activate_checkpoint([{name, Name}, {max, [schema, rabbit_user]}])
     || Name <- [Ours, Other]],
    Old = whereis(rabbit_hot_backup_checkpoints),
    exit(Old, kill),
    eventually(fun() -> checkpoints() =:= [Other] end),
    ok = mnesia:deactivate_checkpoint(Other).

a_checkpoint_that_nobody_waits_for_is_ended() ->
    Session = attach(),
    %% Nothing else is done while the owner of checkpoints is busy; the deadline passes meanwhile.
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    Session ! {request, 1, 50, checkpoint_begin, #{}},
    Session ! {request, 2, 5000, job_begin, #{kind => backup, repository => <<"/r">>}},
    {reply, 2, ok, #{}} = expect(reply),
    ok = sys:resume(rabbit_hot_backup_checkpoints),
    eventually(fun hot_backup_harness:drained/0),
    ?assertEqual([], rabbit_hot_backup_checkpoints:active()),
    {ok, _} = ask(Session, checkpoint_begin),
    {ok, _} = ask(Session, checkpoint_end).

%% ------------------------------------------------------------------

end_session(Session) ->
    Monitor = monitor(process, Session),
    exit(Session, shutdown),
    receive {'DOWN', Monitor, _, _, _} -> ok end.

fill(Table, Count, Size) ->
    {atomic, ok} = mnesia:clear_table(Table),
    [ok = mnesia:dirty_write({Table, N, binary:copy(<<N>>, Size)}) || N <- lists:seq(1, Count)],
    ok.

content(Table) ->
    mnesia:dirty_match_object(mnesia:table_info(Table, wild_pattern)).

stream(Session, Stream) ->
    stream(Session, Stream, fun() -> ok end).

%% All items of a stream, acknowledged one by one after a pause, and what its end says.
stream(Session, Stream, Pause) ->
    {ok, #{}} = ask(Session, checkpoint_stream, #{stream => Stream}),
    stream(Session, Stream, Pause, 0, []).

stream(Session, Stream, Pause, Next, Lists) ->
    receive
        {data, Stream, Next, Payload} ->
            Pause(),
            Session ! {ack, Stream, Next},
            stream(Session, Stream, Pause, Next + 1, [binary_to_term(Payload) | Lists]);
        {stream_end, Stream, #{messages := Next} = Result} ->
            {lists:append(lists:reverse(Lists)), Result}
    after 10000 ->
            error({nothing_after, Next, mailbox()})
    end.

%% What the items amount to, in order: docs/format.md, "metadata/snapshot".
replay(Items) ->
    Final = lists:foldl(fun replay/2, #{}, Items),
    maps:fold(fun({Table, _}, Records, Tables) ->
                      maps:update_with(Table, fun(Others) -> Records ++ Others end, Records, Tables)
              end, #{}, Final).

replay(Header, State) when element(1, Header) =:= log_header -> State;
replay({schema, _, _}, State) -> State;
replay({Table, Key}, State) -> maps:remove({Table, Key}, State);
replay(Record, State) ->
    Table = element(1, Record),
    Key = {Table, element(2, Record)},
    case mnesia:table_info(Table, type) of
        bag -> maps:update_with(Key, fun(Others) -> lists:usort([Record | Others]) end, [Record],
                                State);
        _ -> State#{Key => [Record]}
    end.

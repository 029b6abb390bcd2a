%% The hold: that nothing runs in it, that it ends by its deadline whatever the engine does, and
%% that nothing that arrives in it is lost.
%%
%% No Erlang process can play the engine here, since none runs in the hold: the engines are shell
%% scripts. The test process plays the session, which the holder hands everything to.
-module(rabbit_hot_backup_holder_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [program/2, frame/1, eventually/1]).

%% Microseconds.
-define(LONG, 5 * 1000 * 1000).
-define(SHORT, 100 * 1000).
%% What a loaded machine may add.
-define(TOLERANCE, 100 * 1000).

holder_test_() ->
    {foreach,
     fun hot_backup_harness:temp_dir/0,
     fun(Directory) ->
             %% Whatever was done to it: the VM is not held.
             enabled = erlang:system_info(multi_scheduling),
             hot_backup_harness:remove(Directory)
     end,
     [fun(Directory) -> {Name, {timeout, 60, fun() -> and_close(Test, Directory) end}} end
      || {Name, Test} <- [{"captured", fun captured_in_time_is_held/1},
                          {"not captured", fun an_engine_can_refuse/1},
                          {"committed", fun a_commit_is_told/1},
                          {"nothing runs", fun nothing_else_runs/1},
                          {"silent", fun a_silent_engine_is_too_late/1},
                          {"stopped by a signal", fun a_stopped_engine_is_too_late/1},
                          {"dead", fun an_engine_that_dies_ends_the_hold/1},
                          {"gone before", fun an_engine_that_is_gone_holds_nothing/1},
                          {"does not read", fun an_engine_that_does_not_read_holds_nothing/1},
                          {"garbage", fun garbage_ends_the_hold/1},
                          {"floods", fun a_flood_ends_the_hold/1},
                          {"too slow to stop", fun a_slow_acquisition_is_too_late/1},
                          {"in order", fun what_arrives_is_handed_on_in_order/1},
                          {"session ended", fun the_end_of_the_session_ends_the_hold/1},
                          {"in pieces", fun a_message_may_come_in_pieces/1},
                          {"killed", fun a_killed_holder_holds_nothing/1},
                          {"fails", fun a_check_that_fails_holds_nothing/1},
                          {"nobody waits", fun nobody_is_held_for_a_caller_that_is_gone/1},
                          {"another one's answer", fun an_answer_to_another_stop_is_none/1},
                          {"two at once", fun two_do_not_hold_at_once/1},
                          {"again", fun one_hold_after_the_other/1}]]}.

%% A program that does not read would keep its port, and the VM, from ending.
and_close(Test, Directory) ->
    try
        Test(Directory)
    after
        [ok = rabbit_hot_backup_carrier:close(Carrier, kill) || {{carrier, Carrier}, _} <- get()]
    end.

captured_in_time_is_held(Directory) ->
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(ok))]),
    Before = os:system_time(microsecond),
    Held = hold(Holder, ?LONG),
    ?assertMatch(#{outcome := held}, Held),
    #{instant := Instant, acquisition_us := Acquisition, hold_us := Hold, pause_us := Pause} = Held,
    ?assert(Instant >= Before),
    ?assert(Instant =< os:system_time(microsecond)),
    ?assert(Acquisition >= 0),
    ?assert(Hold > 0),
    ?assert(Pause >= Acquisition + Hold),
    ?assert(Pause < ?LONG),
    ?assertEqual({priority, normal}, process_info(Holder, priority)).

an_engine_can_refuse(Directory) ->
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(failed))]),
    ?assertMatch(#{outcome := refused}, hold(Holder, ?LONG)).

a_commit_is_told(Directory) ->
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(ok))]),
    ?assertMatch({ok, #{outcome := committed}},
                 try_to_hold(Holder, fun() -> false end)).

%% Ordinary processes of every priority but one, and one whose work dirty schedulers do.
nothing_else_runs(Directory) ->
    Work = counters:new(4, []),
    File = filename:join(Directory, "written"),
    Workers = [busy(Priority, fun() -> counters:add(Work, Index, 1) end)
               || {Index, Priority} <- [{1, low}, {2, normal}, {3, high}]]
        ++ [busy(normal, fun() ->
                                 ok = file:write_file(File, <<"x">>, [raw]),
                                 counters:add(Work, 4, 1)
                         end)],
    Test = self(),
    Look = fun() ->
                   Before = [counters:get(Work, N) || N <- [1, 2, 3, 4]],
                   spin(erlang:monotonic_time(millisecond) + 100),
                   Test ! {looked, Before, [counters:get(Work, N) || N <- [1, 2, 3, 4]]},
                   true
           end,
    %% This sees work where some is done.
    eventually(fun() -> lists:all(fun(N) -> counters:get(Work, N) > 0 end, [2, 3, 4]) end),
    _ = spawn(Look),
    receive {looked, Early, Late} -> ?assertNotEqual(Early, Late) end,
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(ok))]),
    {ok, #{outcome := held, hold_us := Hold}} =
        try_to_hold(Holder, Look),
    ?assert(Hold >= 100000),
    receive {looked, Before, After} -> ?assertEqual(Before, After) end,
    %% And they go on.
    eventually(fun() -> [] =:= [N || N <- [2, 3, 4],
                                     counters:get(Work, N) =< lists:nth(N, Before)] end),
    [exit(Worker, kill) || Worker <- Workers].

busy(Priority, Work) ->
    spawn(fun() -> process_flag(priority, Priority), work(Work) end).

work(Work) ->
    Work(),
    work(Work).

spin(Until) ->
    case erlang:monotonic_time(millisecond) < Until of
        true -> spin(Until);
        false -> ok
    end.

a_silent_engine_is_too_late(Directory) ->
    is_late(holder(Directory, "exec cat > /dev/null")).

a_stopped_engine_is_too_late(Directory) ->
    is_late(holder(Directory, "await_stop; kill -STOP $$")).

is_late(Holder) ->
    {Taken, Held} = timer:tc(fun() -> hold(Holder, ?SHORT) end),
    #{outcome := late, pause_us := Pause} = Held,
    ?assert(Pause >= ?SHORT),
    ?assert(Pause < ?SHORT + ?TOLERANCE),
    ?assert(Taken < ?SHORT + ?TOLERANCE).

an_engine_that_dies_ends_the_hold(Directory) ->
    Holder = holder(Directory, "await_stop; exit 3"),
    #{outcome := refused, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG),
    receive {carried, {_, {exit_status, 3}}} -> ok after 5000 -> error(not_handed_on) end.

an_engine_that_is_gone_holds_nothing(Directory) ->
    Holder = holder(Directory, "exec cat > /dev/null"),
    {links, Links} = process_info(Holder, links),
    [Port] = [Link || Link <- Links, is_port(Link)],
    exit(Port, kill),
    receive {carried, {'EXIT', Port, _}} -> ok after 5000 -> error(not_handed_on) end,
    #{outcome := late, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG).

an_engine_that_does_not_read_holds_nothing(Directory) ->
    {Holder, Carrier} = carried(Directory, "exec sleep 1000"),
    %% Until the port is busy, and suspends this process for it.
    Full = spawn(fun() -> fill(Carrier) end),
    eventually(fun() -> process_info(Full, status) =:= {status, suspended} end),
    #{outcome := late, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG).

fill(Carrier) ->
    ok = rabbit_hot_backup_carrier:send(Carrier, {data, 1, 0, binary:copy(<<"x">>, 100000)}),
    fill(Carrier).

garbage_ends_the_hold(Directory) ->
    Holder = holder(Directory, "await_stop; echo Hello, world; exec sleep 1000"),
    #{outcome := refused, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG),
    ?assertEqual(<<"Hello, world\n">>, received(13)).

a_flood_ends_the_hold(Directory) ->
    Flood = filename:join(Directory, "flood"),
    ok = file:write_file(Flood, lists:duplicate(10000, frame({notice, progress, #{}}))),
    Holder = holder(Directory, ["await_stop; while cat ", Flood, "; do :; done"]),
    #{outcome := refused, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG),
    %% It is all handed on: the session is to judge.
    _ = received(100000).

%% A dirty scheduler at work cannot be stopped.
a_slow_acquisition_is_too_late(Directory) ->
    Script = ["head -c 1 > ", filename:join(Directory, "told"), "; exec cat > /dev/null"],
    Holder = holder(Directory, Script),
    Reached = filename:join(Directory, "fifo"),
    "" = os:cmd("mkfifo " ++ Reached),
    %% To open a pipe that nobody writes to takes until somebody does.
    Reader = spawn(fun() -> file:open(Reached, [raw, read]) end),
    eventually(fun() -> process_info(Reader, status) =:= {status, running} end),
    Work = counters:new(1, []),
    File = filename:join(Directory, "written"),
    Worker = busy(normal, fun() ->
                                  ok = file:write_file(File, <<"x">>, [raw]),
                                  counters:add(Work, 1, 1)
                          end),
    #{outcome := late, acquisition_us := Acquisition, hold_us := Hold} = hold(Holder, ?SHORT),
    ?assert(Acquisition < ?SHORT + ?TOLERANCE),
    ?assert(Hold < ?TOLERANCE),
    %% Others use the disk again although that one operation goes on.
    Before = counters:get(Work, 1),
    eventually(fun() -> counters:get(Work, 1) > Before end),
    ?assertEqual({status, running}, process_info(Reader, status)),
    exit(Worker, kill),
    "" = os:cmd(": > " ++ Reached),
    %% The engine was not told of a hold.
    ?assertEqual(0, filelib:file_size(filename:join(Directory, "told"))).

what_arrives_is_handed_on_in_order(Directory) ->
    Messages = [{notice, progress, #{job => 1}}, {ack, 1, 2}, captured(ok), {ack, 1, 3}],
    %% One by one, so that they arrive as several.
    Script = [["cat ", file(Directory, Message), "; sleep 0.05; "] || Message <- Messages],
    Holder = holder(Directory, ["await_stop; ", Script, "exec cat > /dev/null"]),
    ?assertMatch(#{outcome := held}, hold(Holder, ?LONG)),
    Bytes = iolist_to_binary([frame(Message) || Message <- Messages]),
    ?assertEqual(Bytes, received(byte_size(Bytes))).

%% The session's end comes as a message, and only a process of the highest priority can send one.
the_end_of_the_session_ends_the_hold(Directory) ->
    Holder = holder(Directory, "exec cat > /dev/null"),
    unlink(Holder),
    Monitor = monitor(process, Holder),
    in_the_hold(fun() -> exit(Holder, shutdown) end),
    #{outcome := refused, pause_us := Pause} = hold(Holder, ?LONG),
    ?assert(Pause < ?LONG),
    receive {'DOWN', Monitor, process, Holder, shutdown} -> ok
    after 10000 -> error(the_signal_was_lost) end.

a_message_may_come_in_pieces(Directory) ->
    <<First:9/binary, Second/binary>> = frame(captured(ok)),
    ok = file:write_file(filename:join(Directory, "first"), First),
    ok = file:write_file(filename:join(Directory, "second"), Second),
    Holder = holder(Directory, ["await_stop; cat ", filename:join(Directory, "first"),
                                "; sleep 0.05; cat ", filename:join(Directory, "second"),
                                "; exec cat > /dev/null"]),
    ?assertMatch(#{outcome := held}, hold(Holder, ?LONG)).

a_killed_holder_holds_nothing(Directory) ->
    Holder = holder(Directory, "exec cat > /dev/null"),
    unlink(Holder),
    in_the_hold(fun() -> exit(Holder, kill) end),
    {Taken, {error, #{message := Message}}} =
        timer:tc(fun() -> try_to_hold(Holder, fun() -> true end) end),
    ?assertEqual(<<"the process that holds the node still ended: killed">>, Message),
    ?assert(Taken < ?LONG),
    ?assertEqual([], [Port || Port <- erlang:ports(),
                              erlang:port_info(Port, connected) =:= {connected, Holder}]).

%% While one scheduler runs, OTP 23 does not always look after those that another one had waiting.
in_the_hold(Deed) ->
    _ = spawn_opt(fun() -> until_blocked(), Deed() end, [{priority, max}, {scheduler, 1}]),
    ok.

until_blocked() ->
    case erlang:system_info(multi_scheduling) of
        enabled -> erlang:yield(), until_blocked();
        _ -> ok
    end.

a_check_that_fails_holds_nothing(Directory) ->
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(ok))]),
    unlink(Holder),
    ?assertMatch({error, #{code := failed}},
                 try_to_hold(Holder, fun() -> exit(no_table) end)).

nobody_is_held_for_a_caller_that_is_gone(Directory) ->
    Holder = holder(Directory, "exec cat > /dev/null"),
    ok = suspend(Holder),
    {Caller, Monitor} = spawn_monitor(fun() -> hold(Holder, ?LONG) end),
    eventually(fun() -> process_info(Holder, message_queue_len) =:= {message_queue_len, 1} end),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, _} -> ok end,
    true = erlang:resume_process(Holder),
    {Taken, _} = timer:tc(fun() -> hold(Holder, ?SHORT) end),
    ?assert(Taken < ?SHORT + ?TOLERANCE).

suspend(Process) ->
    true = erlang:suspend_process(Process),
    ok.

an_answer_to_another_stop_is_none(Directory) ->
    Holder = holder(Directory, ["await_stop; ", say(Directory, captured(2, ok))]),
    ?assertMatch(#{outcome := refused}, hold(Holder, ?LONG)).

two_do_not_hold_at_once(Directory) ->
    Holder = holder(Directory, "exec cat > /dev/null"),
    true = register(rabbit_hot_backup_blocker, self()),
    ?assertMatch(#{outcome := refused, hold_us := 0}, (hold(Holder, ?LONG))#{hold_us := 0}),
    true = unregister(rabbit_hot_backup_blocker).

one_hold_after_the_other(Directory) ->
    Answers = [captured(1, ok), captured(2, failed), captured(3, ok)],
    Script = [["await_stop; cat ", file(Directory, Answer), ";"] || Answer <- Answers],
    Holder = holder(Directory, [Script, "exec cat > /dev/null"]),
    ?assertEqual([held, refused, held],
                 [maps:get(outcome, hold(Holder, ?LONG)) || _ <- Answers]).

%% ------------------------------------------------------------------

try_to_hold(Holder, Unchanged) ->
    rabbit_hot_backup_holder:hold(Holder, #{max_pause => ?LONG}, Unchanged).

hold(Holder, MaxPause) ->
    {ok, Held} = rabbit_hot_backup_holder:hold(Holder, #{max_pause => MaxPause}, fun() -> true end),
    Held.

holder(Directory, Script) ->
    {Holder, _} = carried(Directory, Script),
    Holder.

%% The scripts know how to wait for the notice that the node stands still.
carried(Directory, Script) ->
    Length = byte_size(frame({notice, stopped, #{stop => 1}})),
    Program = program(Directory, ["await_stop() { head -c ", integer_to_list(Length),
                                  " > /dev/null; }\n", Script]),
    {ok, Holder, Carrier} = rabbit_hot_backup_holder:start_link({stdio, Program}),
    put({carrier, Carrier}, open),
    {Holder, Carrier}.

captured(Outcome) ->
    captured(1, Outcome).

captured(Number, Outcome) ->
    {notice, captured, #{stop => Number, outcome => Outcome}}.

%% The words that send messages and then wait for the end.
say(Directory, Messages) ->
    ["cat ", file(Directory, Messages), "; exec cat > /dev/null"].

file(Directory, Messages) ->
    Path = filename:join(Directory, integer_to_list(erlang:unique_integer([positive]))),
    ok = file:write_file(Path, [frame(Message) || Message <- lists:flatten([Messages])]),
    Path.

%% So many bytes at least, of what the holder hands on.
received(Size) ->
    received(Size, <<>>).

received(Size, Bytes) when byte_size(Bytes) >= Size ->
    Bytes;
received(Size, Bytes) ->
    receive
        {carried, {_, {data, More}}} -> received(Size, <<Bytes/binary, More/binary>>)
    after 5000 ->
            error({only, Bytes})
    end.

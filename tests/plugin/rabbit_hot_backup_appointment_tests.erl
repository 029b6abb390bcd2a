%% Holds by appointment: that a node begins when it is time and not later, waits for the others no
%% longer than it may, and takes nothing for theirs that is not; and that several VMs really stand
%% still together when it is said that they did.
-module(rabbit_hot_backup_appointment_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [program/2, frame/1, captures/1, eventually/1]).
-import(rabbit_hot_backup_overlap, [now_us/0]).

%% Microseconds.
-define(SOON, 50 * 1000).
-define(LONG, 5 * 1000 * 1000).
-define(WINDOW, 200 * 1000).
%% What a loaded machine may add.
-define(TOLERANCE, 300 * 1000).

-define(ATTEMPT, {<<"cluster backup">>, 7}).

%% ------------------------------------------------------------------
%% One VM, of which the test plays the peers

alone_test_() ->
    {foreach,
     fun hot_backup_harness:temp_dir/0,
     fun(Directory) ->
             enabled = erlang:system_info(multi_scheduling),
             hot_backup_harness:remove(Directory)
     end,
     [fun(Directory) ->
              {Name, {timeout, 60, fun() -> Test(start_holder(Directory)) end}}
      end || {Name, Test} <- [{"in time", fun it_begins_when_it_is_time/1},
                              {"too late", fun a_late_one_holds_nothing/1},
                              {"heard", fun whoever_is_heard_is_not_waited_for/1},
                              {"not heard", fun others_are_waited_for_for_a_while/1},
                              {"not longer", fun the_deadline_is_before_the_window/1},
                              {"others", fun what_others_say_counts_for_nothing/1},
                              {"committed", fun nobody_waits_with_a_commit/1},
                              {"outside", fun what_comes_outside_is_dropped/1},
                              {"handed on", fun the_engine_is_heard_until_then/1},
                              {"given up", fun nobody_is_held_for_a_caller_that_is_gone/1},
                              {"two", fun another_one_meanwhile_is_refused/1},
                              {"ended", fun the_end_of_the_session_ends_the_wait/1}]]}.

it_begins_when_it_is_time(Holder) ->
    At = now_us() + ?SOON,
    #{outcome := held, began := Began, ended := Ended, heard := []} =
        hold(Holder, appointment(At, [])),
    ?assert(Began >= At),
    ?assert(Ended > Began),
    ?assert(Ended =< now_us()).

a_late_one_holds_nothing(Holder) ->
    Held = hold(Holder, appointment(now_us() - ?WINDOW, [])),
    ?assertMatch(#{outcome := late, hold_us := 0, pause_us := 0}, Held),
    ?assertNot(is_map_key(began, Held)),
    ?assertEqual({priority, normal}, process_info(Holder, priority)).

whoever_is_heard_is_not_waited_for(Holder) ->
    Node = node(),
    %% It began a little earlier.
    Holder ! {stopped, other_attempt, Node},
    At = now_us() + ?SOON,
    Call = call(Holder, (appointment(At, [self()]))#{window => ?LONG}),
    eventually(fun() -> is_waiting(Holder) end),
    Holder ! {stopped, ?ATTEMPT, Node},
    ?assertMatch(#{outcome := held, heard := [Node], hold_us := Time} when Time < ?LONG,
                 result(Call)),
    %% It said so itself, too.
    receive {stopped, ?ATTEMPT, Node} -> ok after 0 -> error(nothing_said) end,
    nothing_was_handed_on().

others_are_waited_for_for_a_while(Holder) ->
    At = now_us() + ?SOON,
    #{outcome := held, heard := [], ended := Ended} = hold(Holder, appointment(At, [self()])),
    ?assert(Ended >= At + ?WINDOW),
    ?assert(Ended < At + ?WINDOW + ?TOLERANCE).

the_deadline_is_before_the_window(Holder) ->
    At = now_us() + ?SOON,
    Appointment = (appointment(At, [self()]))#{window => ?LONG, max_pause => ?WINDOW},
    #{heard := [], ended := Ended} = hold(Holder, Appointment),
    ?assert(Ended < At + ?WINDOW + ?TOLERANCE).

%% And it is no flood of the engine's.
what_others_say_counts_for_nothing(Holder) ->
    At = now_us() + ?SOON,
    Call = call(Holder, appointment(At, [self()])),
    eventually(fun() -> is_waiting(Holder) end),
    _ = [Holder ! {stopped, Attempt, Node}
         || _ <- lists:seq(1, 100),
            {Attempt, Node} <- [{?ATTEMPT, 'stranger@nowhere'}, {{<<"cluster backup">>, 6}, node()},
                                {{<<"another backup">>, 7}, node()}]],
    ?assertMatch(#{outcome := held, heard := [], hold_us := Time} when Time >= ?WINDOW div 2,
                 result(Call)),
    nothing_was_handed_on().

nobody_waits_with_a_commit(Holder) ->
    Appointment = (appointment(now_us() + ?SOON, [self()]))#{window => ?LONG},
    {ok, Held} = rabbit_hot_backup_holder:hold(Holder, Appointment, fun() -> false end),
    ?assertMatch(#{outcome := committed, hold_us := Time} when Time < ?LONG, Held).

what_comes_outside_is_dropped(Holder) ->
    Holder ! {stopped, ?ATTEMPT, node()},
    Call = call(Holder, appointment(now_us() + ?SOON, [])),
    _ = result(Call),
    Holder ! {stopped, ?ATTEMPT, node()},
    ok = has_looked(Holder),
    nothing_was_handed_on().

the_engine_is_heard_until_then(Holder) ->
    Call = call(Holder, appointment(now_us() + 10 * ?SOON, [])),
    eventually(fun() -> is_waiting(Holder) end),
    Holder ! {said, before},
    receive {carried, {said, before}} -> ok after 5000 -> error(not_handed_on) end,
    ?assertMatch(#{outcome := held}, result(Call)).

nobody_is_held_for_a_caller_that_is_gone(Holder) ->
    {Caller, Monitor} = spawn_monitor(fun() -> hold(Holder, appointment(now_us() + ?LONG, [])) end),
    eventually(fun() -> is_waiting(Holder) end),
    exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, _} -> ok end,
    %% It is ready for the next one at once.
    {Taken, Held} = timer:tc(fun() -> hold(Holder, #{max_pause => ?LONG}) end),
    ?assertMatch(#{outcome := held}, Held),
    ?assert(Taken < ?LONG).

another_one_meanwhile_is_refused(Holder) ->
    Call = call(Holder, appointment(now_us() + ?SOON, [self()])),
    eventually(fun() -> is_waiting(Holder) end),
    ?assertMatch(#{outcome := refused, hold_us := 0}, hold(Holder, #{max_pause => ?LONG})),
    ?assertMatch(#{outcome := held}, result(Call)).

the_end_of_the_session_ends_the_wait(Holder) ->
    unlink(Holder),
    Call = call(Holder, appointment(now_us() + ?LONG, [])),
    eventually(fun() -> is_waiting(Holder) end),
    {Taken, _} = timer:tc(fun() ->
                                  exit(Holder, shutdown),
                                  ?assertMatch({error, #{code := failed}}, answer(Call))
                          end),
    ?assert(Taken < ?LONG).

appointment(At, Peers) ->
    #{max_pause => ?LONG, at => At, window => ?WINDOW, peers => Peers, attempt => ?ATTEMPT}.

hold(Holder, Appointment) ->
    {ok, Held} = rabbit_hot_backup_holder:hold(Holder, Appointment, fun() -> true end),
    Held.

call(Holder, Appointment) ->
    {_, Monitor} = spawn_monitor(
                     fun() ->
                             exit({held, rabbit_hot_backup_holder:hold(Holder, Appointment,
                                                                       fun() -> true end)})
                     end),
    Monitor.

result(Call) ->
    {ok, Held} = answer(Call),
    Held.

answer(Call) ->
    receive {'DOWN', Call, process, _, {held, Answer}} -> Answer
    after 20000 -> error(unanswered) end.

%% For its time, with an empty mailbox but for what is for the hold.
is_waiting(Holder) ->
    process_info(Holder, [status, current_function])
        =:= [{status, waiting}, {current_function, {rabbit_hot_backup_holder, await_until, 3}}].

%% It has looked at everything that was sent to it before.
has_looked(Holder) ->
    Holder ! last,
    receive {carried, last} -> ok after 5000 -> error(not_handed_on) end.

nothing_was_handed_on() ->
    receive {carried, {stopped, _, _} = Message} -> error({handed_on, Message}) after 0 -> ok end.

start_holder(Directory) ->
    Program = program(Directory, captures(Directory)),
    {ok, Holder, _} = rabbit_hot_backup_holder:start_link({stdio, Program}),
    Holder.

%% ------------------------------------------------------------------
%% Three VMs

together_test_() ->
    [{setup,
      fun() ->
              {Vms, List} = hot_backup_vms:start(3, Dist),
              {Vms, [{Vm, hot_backup_vms:call(Vm, fun ready/0)} || Vm <- List]}
      end,
      fun({Vms, _}) -> hot_backup_vms:stop(Vms) end,
      fun({_, Nodes}) ->
              [{atom_to_list(Dist) ++ ": " ++ Name, {timeout, 120, fun() -> Test(Nodes) end}}
               || {Name, Test} <- Tests]
      end}
     || {Dist, Tests} <- [{plain, [{"together", fun all_stand_still_together/1},
                                   {"one is stopped", fun nobody_waits_for_a_stopped_one/1},
                                   {"one is killed", fun nobody_waits_for_a_killed_one/1}]},
                          {tls, [{"together", fun all_stand_still_together/1}]}]].

%% On one machine all clocks are the same, so the truth is known here.
all_stand_still_together(Nodes) ->
    Verdicts = attempts(20, Nodes),
    ?assertMatch([{proven, _} | _], Verdicts).

%% The verdicts, newest first, up to the first that is proven.
attempts(0, _) ->
    [];
attempts(Left, Nodes) ->
    Before = known(Nodes),
    Held = meet(Nodes, ?WINDOW, fun() -> ok end),
    After = known(Nodes),
    Stood = [Each#{node => hot_backup_vms:node(Vm)}
             || {{Vm, _}, #{outcome := held} = Each} <- lists:zip(Nodes, Held)],
    _ = [nothing_ran(Vm, Each) || {{Vm, _}, #{began := _} = Each} <- lists:zip(Nodes, Held)],
    Verdict = rabbit_hot_backup_overlap:prove(Stood, both(Before, After)),
    Overlap = lists:min([Ended || #{ended := Ended} <- Stood])
        - lists:max([Began || #{began := Began} <- Stood]),
    case Verdict of
        {proven, #{overlap_us := Least}} when length(Stood) =:= length(Nodes) ->
            ?assert(Overlap >= Least),
            [Verdict];
        {proven, _} ->
            [missing | attempts(Left - 1, Nodes)];
        {apart, _} ->
            [Verdict | attempts(Left - 1, Nodes)]
    end.

nothing_ran(Vm, #{began := Began, ended := Ended}) ->
    Ticks = hot_backup_vms:call(Vm, fun ticks/0),
    ?assertEqual([], [{Tick - Began, Ended - Tick}
                      || Tick <- Ticks, Tick >= Began, Tick < Ended]),
    ?assertNotEqual([], [Tick || Tick <- Ticks, Tick < Began]),
    ?assertNotEqual([], [Tick || Tick <- Ticks, Tick >= Ended]).

nobody_waits_for_a_stopped_one([{Vm, _} | _] = Nodes) ->
    [First | Others] = meet(Nodes, ?WINDOW, fun() -> hot_backup_vms:signal(Vm, "STOP"), Vm end),
    go_on_in_time(Others),
    ?assertMatch(#{outcome := late}, First).

nobody_waits_for_a_killed_one([{Vm, _} | _] = Nodes) ->
    Others = meet(Nodes, ?WINDOW, fun() -> hot_backup_vms:signal(Vm, "KILL"), killed end),
    go_on_in_time(Others).

go_on_in_time(Held) ->
    [begin
         ?assertEqual(held, Outcome),
         ?assert(Pause < ?WINDOW + ?TOLERANCE),
         ?assertEqual(1, length(Heard))
     end || #{outcome := Outcome, pause_us := Pause, heard := Heard} <- Held].

%% Has all of them hold, and one thing done shortly before. What each says; a VM that is stopped
%% goes on when the others have answered, and of one that is killed nothing is heard.
meet(Nodes, Window, Deed) ->
    Attempt = {<<"cluster backup">>, erlang:unique_integer([positive])},
    At = now_us() + 300 * 1000,
    Calls = [hot_backup_vms:cast(Vm, fun() -> hold_there(Holder, Attempt, At, Window,
                                                         [Peer || {_, Peer} <- Nodes,
                                                                  Peer =/= Holder])
                                     end)
             || {Vm, Holder} <- Nodes],
    receive after 150 -> ok end,
    case Deed() of
        ok -> [hot_backup_vms:answer(Call) || Call <- Calls];
        killed -> [hot_backup_vms:answer(Call) || Call <- tl(Calls)];
        Vm ->
            Others = [hot_backup_vms:answer(Call) || Call <- tl(Calls)],
            hot_backup_vms:signal(Vm, "CONT"),
            [hot_backup_vms:answer(hd(Calls)) | Others]
    end.

%% What all know of the others' clocks.
known(Nodes) ->
    Vms = [Vm || {Vm, _} <- Nodes],
    Answers = hot_backup_vms:call_all(
                Vms, fun(Here) ->
                             Others = [hot_backup_vms:node(Vm) || Vm <- Vms, Vm =/= Here],
                             Targets = [{Node, {clock, Node}} || Node <- Others],
                             fun() -> rabbit_hot_backup_ping:bounds(Targets, 5000) end
                     end),
    maps:from_list([{{hot_backup_vms:node(Here), There}, Bounds}
                    || {Here, Known} <- lists:zip(Vms, Answers),
                       {There, #{bounds := Bounds}} <- maps:to_list(Known)]).

both(Before, After) ->
    maps:map(fun(Pair, Bounds) -> {Bounds, maps:get(Pair, After)} end, Before).

%% There

%% A session with its holder, a clock that answers, and somebody who works all the time.
ready() ->
    Caller = self(),
    Directory = hot_backup_harness:temp_dir(),
    _ = spawn(fun() ->
                      Caller ! {ready, start_holder(Directory)},
                      receive stop -> ok end
              end),
    _ = spawn(fun() -> register(clock, self()), clock() end),
    Ticks = spawn(fun() -> tick([]) end),
    register(ticks, Ticks),
    receive {ready, Holder} -> Holder end.

clock() ->
    receive
        {ping, From, Reference} ->
            ok = rabbit_hot_backup_ping:answer(From, Reference),
            clock()
    end.

%% Of the last second or so.
tick(Ticks) ->
    receive
        {ticks, From} ->
            From ! {ticks, [now_us() | Ticks]},
            tick(Ticks)
    after 1 ->
            tick(lists:sublist([now_us() | Ticks], 1000))
    end.

ticks() ->
    ticks ! {ticks, self()},
    receive {ticks, Ticks} -> Ticks end.

hold_there(Holder, Attempt, At, Window, Peers) ->
    hold(Holder, #{max_pause => ?LONG, at => At, window => Window, peers => Peers,
                   attempt => Attempt}).

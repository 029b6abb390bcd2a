%% Backups of a cluster: conductor, participants and holders in real VMs with a Mnesia in common,
%% and engines that only say what engines say.
-module(rabbit_hot_backup_cluster_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [eventually/2]).
-import(hot_backup_vms, [call/2]).

%% What a loaded machine may take for all of it, in milliseconds.
-define(LONG, 60000).

-record(node, {vm, name, directory}).

cluster_test_() ->
    [{setup, fun() -> start(Dist) end, fun stop/1,
      fun({_, Nodes}) ->
              [{atom_to_list(Dist) ++ ": " ++ Name, {timeout, 120, fun() -> run(Test, Nodes) end}}
               || {Name, Test} <- Tests]
      end}
     || {Dist, Tests} <- [{plain, tests()},
                          {tls, [{"whole", fun a_backup_has_a_part_of_each_node/1}]}]].

tests() ->
    [{"whole", fun a_backup_has_a_part_of_each_node/1},
     {"in turn", fun each_node_can_conduct/1},
     {"writers", fun whoever_changes_metadata_waits/1},
     {"late", fun a_late_node_costs_an_attempt/1},
     {"refused", fun an_engine_that_cannot_capture_costs_an_attempt/1},
     {"slow", fun nobody_is_held_for_a_slow_one/1},
     {"stopped", fun a_node_that_is_suspended_for_a_while_is_waited_for/1},
     {"busy", fun a_busy_node_fails_it/1},
     {"two", fun there_is_one_at_a_time/1},
     {"cancelled", fun it_can_be_cancelled/1},
     {"a part cancelled", fun who_cancels_a_part_cancels_all/1}]
        ++ [{"engine dies: " ++ atom_to_list(Point),
             fun(Nodes) -> an_engine_that_dies_fails_it(Point, Nodes) end}
            || Point <- [begun, ready, checkpoint, stop, streamed, prepared]]
        ++ [{"conductor dies: " ++ atom_to_list(Point),
             fun(Nodes) -> a_conductor_that_dies_leaves_nothing(Point, Nodes) end}
            || Point <- [begun, checkpoint, stop, prepared]]
        ++ [{"in doubt", fun parts_stay_when_nobody_knows/1},
            {"the conductor is lost", fun parts_stay_when_the_conductor_is_lost/1},
            {"a participant dies", fun a_participant_that_dies_fails_it/1},
            {"members", fun a_changed_cluster_is_an_error/1},
            {"not a member", fun only_members_may_be_missing/1},
            {"Khepri", fun a_store_of_khepri_is_locked_by_its_leader/1},
            %% The last one.
            {"a node is gone", fun a_node_that_is_gone_is_an_error_or_allowed/1}].

start(Dist) ->
    {Vms, List} = hot_backup_vms:start(3, Dist),
    Nodes = [#node{vm = Vm, name = hot_backup_vms:node(Vm),
                   directory = hot_backup_harness:temp_dir()} || Vm <- List],
    [#node{vm = First, name = FirstName} | Others] = Nodes,
    _ = call(First, fun() ->
                            Directory = hot_backup_harness:start_mnesia(),
                            {atomic, ok} = mnesia:create_table(rabbit_durable_queue,
                                                               [{disc_copies, [node()]}]),
                            Directory
                    end),
    [call(Vm, fun() -> join_mnesia(FirstName) end) || #node{vm = Vm} <- Others],
    [begin
         Program = hot_backup_part_engine:program(Directory),
         call(Vm, fun() ->
                          ok = code:ensure_modules_loaded(plugin_modules()),
                          _ = hot_backup_harness:start_plugin(#{executable => Program,
                                                                repository => Directory,
                                                                verify_after_backup => false}),
                          ok
                  end)
     end || #node{vm = Vm, directory = Directory} <- Nodes],
    {Vms, Nodes}.

join_mnesia(First) ->
    Directory = hot_backup_harness:temp_dir(),
    application:set_env(mnesia, dir, Directory),
    ok = mnesia:start(),
    {ok, [_ | _]} = mnesia:change_config(extra_db_nodes, [First]),
    {atomic, ok} = mnesia:change_table_copy_type(schema, node(), disc_copies),
    {atomic, ok} = mnesia:add_table_copy(rabbit_durable_queue, node(), disc_copies),
    ok.

%% As the application does: an operation is known by its name only if the atom exists.
plugin_modules() ->
    Directory = filename:dirname(code:which(rabbit_hot_backup)),
    [list_to_atom(filename:basename(File, ".beam"))
     || File <- filelib:wildcard(filename:join(Directory, "rabbit_hot_backup*.beam"))].

stop({Vms, Nodes}) ->
    hot_backup_vms:stop(Vms),
    [hot_backup_harness:remove(Directory) || #node{directory = Directory} <- Nodes].

run(Test, Nodes) ->
    forget_words(Nodes),
    %% Whatever it was: nobody stays stopped, nothing is left of it, and there can be another one.
    Left = case Test(Nodes) of
               {left, Those} -> Those;
               _ -> Nodes
           end,
    [?assertEqual(enabled, call(Vm, fun() -> erlang:system_info(multi_scheduling) end))
     || #node{vm = Vm} <- Left],
    idle(Left).

idle(Nodes) ->
    [eventually(fun() -> none_of(call(Vm, Left)) end, ?LONG)
     || #node{vm = Vm} <- Nodes,
        Left <- [fun rabbit_hot_backup_jobs:running/0, fun rabbit_hot_backup_checkpoints:active/0,
                 fun part/0]].

part() ->
    [Part || Part <- [sys:get_state(rabbit_hot_backup_part)], Part =/= none].

none_of([]) -> true;
none_of(Some) -> Some.

%% ------------------------------------------------------------------

a_backup_has_a_part_of_each_node([First | _] = Nodes) ->
    Id = done(First, start_backup(First, #{})),
    ?assertMatch(<<_:8/binary, $T, _:6/binary, $., _:3/binary, $Z>>, Id),
    %% Each node has made this backup, whatever its part is called.
    [?assertMatch([#{state := done, backup := Id}], history(Node, 1)) || Node <- Nodes],
    Parts = [{Node, words(Node)} || Node <- Nodes],
    [begin
         ?assertMatch({checkpoint_begin, ok, #{metadata := HasMetadata}},
                      lists:keyfind(checkpoint_begin, 1, Words)),
         ?assertMatch({stop, ok, #{outcome := held}},
                      lists:keyfind(stop, 1, lists:reverse(Words))),
         ?assertEqual(HasMetadata, lists:keymember(stream_end, 1, Words))
     end || {Node, Words} <- Parts, HasMetadata <- [Node =:= First]],
    {part_prepared, ok, #{publish := Whole}} = lists:keyfind(part_prepared, 1, words(First)),
    #{parts := [_, _, _], missing := [],
      stop := #{attempts := Attempts, overlap_us := _, proof := _, instant := Instant,
                nodes := Stood}} = Whole,
    ?assert(Attempts >= 1),
    ?assert(abs(os:system_time(microsecond) - Instant) < ?LONG * 1000),
    %% All began before any ended, and the last one at the instant.
    ?assertEqual(0, lists:max([Began || #{began_us := Began} <- Stood])),
    ?assert(lists:min([Ended || #{ended_us := Ended} <- Stood]) > 0),
    [?assertMatch({part_prepared, ok, #{manifest := _}}, lists:keyfind(part_prepared, 1, Words))
     || {Node, Words} <- tl(Parts), Node =/= First].

each_node_can_conduct([_, #node{name = Name} = Second | _] = Nodes) ->
    _ = done(Second, start_backup(Second, #{})),
    %% The metadata is with the node that was asked.
    ?assertEqual([Name], [Node || #node{name = Node} = Each <- Nodes,
                                  lists:keymember(stream_end, 1, words(Each))]).

%% On another node than the one that has the checkpoint.
whoever_changes_metadata_waits([First, #node{vm = Vm} | _]) ->
    Writer = call(Vm, fun() -> spawn(fun() -> write_until_stopped(0) end) end),
    try
        _ = done(First, start_backup(First, #{}))
    after
        Written = call(Vm, fun() ->
                                   Writer ! {stop, self()},
                                   receive {written, Count} -> Count end
                           end),
        ?assert(Written > 0)
    end,
    %% What was changed in between is seen on another node, until nobody can change it.
    #{stop := #{attempts := Attempts}} = whole(First),
    Outcomes = [Outcome || {stop, ok, #{outcome := Outcome}} <- words(First)],
    ?assertMatch([committed | _], Outcomes),
    ?assertEqual(Attempts, length(Outcomes)).

write_until_stopped(Count) ->
    {atomic, ok} = mnesia:sync_transaction(
                     fun() -> mnesia:write({rabbit_durable_queue, Count rem 100, Count}) end),
    receive
        {stop, From} -> From ! {written, Count}
    after 0 ->
            write_until_stopped(Count + 1)
    end.

a_late_node_costs_an_attempt(Nodes) ->
    an_attempt_is_lost(#{captures => [{late, 3000}]}, late, Nodes).

an_engine_that_cannot_capture_costs_an_attempt(Nodes) ->
    an_attempt_is_lost(#{captures => [failed, failed, failed]}, apart, Nodes).

an_attempt_is_lost(Behaviour, Verdict, [First, Second | _] = Nodes) ->
    behave(Second, Behaviour),
    _ = done(First, start_backup(First, #{})),
    ?assertMatch(#{stop := #{attempts := Attempts}} when Attempts > 1, whole(First)),
    %% All hear the same. (A loaded machine loses attempts in ways of its own, too.)
    Verdicts = [[Outcome || {stop, ok, #{outcome := Outcome}} <- words(Node)] || Node <- Nodes],
    ?assert(lists:member(Verdict, hd(Verdicts))),
    ?assertMatch([_], lists:usort(Verdicts)).

nobody_is_held_for_a_slow_one([First, Second | _]) ->
    behave(Second, #{captures => [{late, 1000} || _ <- lists:seq(1, 20)]}),
    _ = done(First, start_backup(First, #{})),
    ?assertMatch(#{stop := #{pause_us := Longest}} when Longest >= 1000000, whole(First)),
    [?assert(Pause < 900000) || {stop, ok, #{pause_us := Pause}} <- words(First)].

%% Wherever it has got to then.
a_node_that_is_suspended_for_a_while_is_waited_for([First, Second, Third]) ->
    %% It is not over before.
    behave(Second, #{captures => [{late, 1000}]}),
    {ok, Job} = start_backup(First, #{}),
    hot_backup_vms:signal(Third#node.vm, "STOP"),
    receive after 1500 -> ok end,
    ?assertMatch(#{state := running}, status(First, Job)),
    hot_backup_vms:signal(Third#node.vm, "CONT"),
    ?assertMatch(#{state := done}, ended(First, Job)).

a_busy_node_fails_it([First, #node{vm = Vm} | _]) ->
    Busy = call(Vm, fun() ->
                            Caller = self(),
                            Pid = spawn(fun() ->
                                                {ok, _} = rabbit_hot_backup_jobs:begin_job(
                                                            self(), #{kind => backup,
                                                                      repository => <<"/r">>}),
                                                Caller ! begun,
                                                receive stop -> ok end
                                        end),
                            receive begun -> Pid end
                    end),
    Error = failed(First, start_backup(First, #{})),
    ?assertMatch(#{code := busy, message := <<"vm2@127.0.0.1: another backup", _/binary>>}, Error),
    _ = call(Vm, fun() -> Busy ! stop end).

there_is_one_at_a_time([First, Second | _]) ->
    behave(Second, #{stay_at => ready}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> is_copying(First, Job) end, ?LONG),
    ?assertMatch(#{code := busy}, failed(Second, start_backup(Second, #{}))),
    ?assertMatch(#{code := busy}, failed(First, start_backup(First, #{}))),
    ?assertMatch(#{state := running}, status(First, Job)),
    cancel(First, Job),
    ?assertMatch(#{state := failed}, ended(First, Job)).

it_can_be_cancelled([First, Second | _] = Nodes) ->
    behave(Second, #{stay_at => ready}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> is_copying(First, Job) end, ?LONG),
    cancel(First, Job),
    ?assertMatch(#{state := failed, error := #{code := cancelled}}, ended(First, Job)),
    [eventually(fun() -> [State || #{state := State} <- history(Node, 1)] =:= [cancelled] end,
                ?LONG) || Node <- Nodes].

who_cancels_a_part_cancels_all([First, Second | _]) ->
    behave(Second, #{stay_at => ready}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> is_copying(First, Job) end, ?LONG),
    ok = call(Second#node.vm, fun rabbit_hot_backup:cancel/0),
    ?assertMatch(#{state := failed, error := #{code := cancelled}}, ended(First, Job)).

an_engine_that_dies_fails_it(Point, [First, Second | _] = Nodes) ->
    behave(Second, #{die_at => Point}),
    ?assertMatch(#{message := <<"vm2@127.0.0.1: ", _/binary>>},
                 failed(First, start_backup(First, #{}))),
    behave(Second, #{}),
    idle(Nodes),
    _ = done(First, start_backup(First, #{})).

a_conductor_that_dies_leaves_nothing(Point, [First, Second, Third] = Nodes) ->
    behave(Third, #{stay_at => Point}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> has_come_to(Point, Second) end, ?LONG),
    true = call(First#node.vm, fun kill_conductor/0),
    ?assertMatch(#{state := failed}, ended(First, Job)),
    behave(Third, #{}),
    idle(Nodes),
    _ = done(First, start_backup(First, #{})).

%% Another engine waits for the one that stays.
has_come_to(begun, Node) -> [] =/= words(Node);
has_come_to(checkpoint, Node) -> has_step(based, Node);
has_come_to(stop, Node) -> has_step(armed, Node);
has_come_to(prepared, Node) -> has_step(prepared, Node).

has_step(Step, #node{vm = Vm}) ->
    State = call(Vm, fun() -> sys:get_state(rabbit_hot_backup_part) end),
    is_tuple(State) andalso
        lists:any(fun({waiting, based, _, _}) -> Step =:= based;
                     ({waiting, {Known, _}, _, _}) -> Step =:= Known;
                     (_) -> false
                  end, tuple_to_list(State)).

kill_conductor() ->
    [Conductor] = [Pid || Pid <- rabbit_hot_backup_cluster_sup:backups(),
                          element(1, sys:get_state(Pid)) =/= ended],
    exit(Conductor, kill).

%% The engine that was to publish is gone.
parts_stay_when_nobody_knows([First, Second, Third]) ->
    behave(First, #{die_at => published}),
    _ = failed(First, start_backup(First, #{})),
    [eventually(fun() ->
                        lists:member({part_prepared, ok, #{in_doubt => true}}, words(Node))
                end, ?LONG) || Node <- [Second, Third]].

parts_stay_when_the_conductor_is_lost([First, Second, Third]) ->
    behave(Third, #{stay_at => prepared}),
    {ok, _} = start_backup(First, #{}),
    eventually(fun() -> has_step(prepared, Second) andalso has_step(prepared, First) end, ?LONG),
    true = call(First#node.vm, fun kill_conductor/0),
    eventually(fun() -> lists:member({part_prepared, ok, #{in_doubt => true}}, words(Second)) end,
               ?LONG),
    %% Nobody asked the coordinator to publish, so there it is known.
    eventually(fun() ->
                       [] =/= [Error || {part_prepared, ok, #{abandoned := Error}} <- words(First)]
               end, ?LONG).

a_participant_that_dies_fails_it([First, #node{vm = Vm} = Second | _] = Nodes) ->
    behave(Second, #{stay_at => ready}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> is_copying(First, Job) end, ?LONG),
    true = call(Vm, fun() -> exit(whereis(rabbit_hot_backup_part), kill) end),
    ?assertMatch(#{state := failed}, ended(First, Job)),
    %% The next one cancels what was left.
    idle(Nodes),
    behave(Second, #{}),
    _ = done(First, start_backup(First, #{})).

a_changed_cluster_is_an_error(_) ->
    ?assertMatch(#{message := <<"the cluster changed while it was backed up: c joined">>},
                 rabbit_hot_backup_members:differ([a, b], [a, b, c])),
    ?assertMatch(#{message := <<"the cluster changed while it was backed up: a left">>},
                 rabbit_hot_backup_members:differ([a, b], [b])).

only_members_may_be_missing([First | _]) ->
    ?assertMatch({error, #{message := <<"vm9@127.0.0.1 is no member", _/binary>>}},
                 start_backup(First, #{allow_missing => [<<"vm9@127.0.0.1">>]})),
    ?assertMatch({error, #{message := <<"job 12345 is no backup of a cluster", _/binary>>}},
                 call(First#node.vm, fun() -> rabbit_hot_backup_cluster:status(12345) end)).

%% With what stands in for RabbitMQ's: integration.cluster has the real one.
a_store_of_khepri_is_locked_by_its_leader([First, #node{name = Leader} | _] = Nodes) ->
    with_khepri(Leader, Nodes, fun() -> _ = done(First, start_backup(First, #{})) end),
    [begin
         ?assertMatch({checkpoint_begin, ok, #{store := khepri, metadata := HasMetadata}},
                      lists:keyfind(checkpoint_begin, 1, words(Node))),
         ?assertEqual(HasMetadata, lists:keymember(stream_end, 1, words(Node)))
     end || #node{name = Name} = Node <- Nodes, HasMetadata <- [Name =:= Leader]],
    [#{outcome := held, store_us := _}] =
        [Stop || #node{name = Name} = Node <- Nodes, Name =:= Leader,
                 {stop, ok, Stop} <- [lists:keyfind(stop, 1, lists:reverse(words(Node)))]].

with_khepri(Leader, Nodes, Test) ->
    Functions =
        [{rabbit_khepri, ["is_enabled() -> true.", "get_store_id() -> store."]},
         {ra_leaderboard, ["lookup_leader(store) -> {store, '" ++ atom_to_list(Leader) ++ "'}."]},
         {ra, ["key_metrics({store, _}) -> #{last_index => 7, last_written_index => 7, "
               "last_applied => 7, term => 2}.",
               "local_query({store, _}, Question, _) -> {ok, {{7, 2}, Question(state)}, leader}."]},
         {khepri_machine, ["get_root(state) -> {node, #{}, '$__NO_PAYLOAD__', "
                           "#{name => {node, #{}, payload, #{}}}}."]}],
    Modules = [Module || {Module, _} <- Functions],
    [Modules = call(Vm, fun() -> hot_backup_harness:stand_in(Functions) end)
     || #node{vm = Vm} <- Nodes],
    try
        Test()
    after
        [call(Vm, fun() -> [{code:delete(Module), code:purge(Module)} || Module <- Modules] end)
         || #node{vm = Vm} <- Nodes]
    end.

a_node_that_is_gone_is_an_error_or_allowed([First, Second, Third]) ->
    Gone = atom_to_binary(Third#node.name),
    behave(Second, #{stay_at => ready}),
    {ok, Job} = start_backup(First, #{}),
    eventually(fun() -> is_copying(First, Job) end, ?LONG),
    hot_backup_vms:signal(Third#node.vm, "KILL"),
    ?assertMatch(#{error := #{message := <<Gone:(byte_size(Gone))/binary, _/binary>>}},
                 ended(First, Job)),
    behave(Second, #{}),
    idle([First, Second]),
    ?assertMatch({error, #{message := <<Gone:(byte_size(Gone))/binary, " does not run",
                                        _/binary>>}},
                 start_backup(First, #{})),
    forget_words([First, Second]),
    _ = done(First, start_backup(First, #{allow_missing => [Gone]})),
    ?assertMatch(#{parts := [_, _], missing := [#{node := Gone}]}, whole(First)),
    {left, [First, Second]}.

%% ------------------------------------------------------------------

behave(#node{directory = Directory}, Behaviour) ->
    hot_backup_part_engine:behave(Directory, Behaviour).

forget_words(Nodes) ->
    [hot_backup_part_engine:forget(Directory) || #node{directory = Directory} <- Nodes].

is_copying(Node, Job) ->
    case status(Node, Job) of
        #{phase := <<"copying">>, nodes := Nodes} ->
            lists:all(fun(#{phase := Phase}) -> Phase =:= <<"copy 1">> end, Nodes);
        Status -> Status
    end.

cancel(#node{vm = Vm}, Job) ->
    ok = call(Vm, fun() -> rabbit_hot_backup_cluster:cancel(Job) end).

history(#node{vm = Vm}, Count) ->
    lists:sublist(call(Vm, fun rabbit_hot_backup_jobs:history/0), Count).

%% What the coordinator's engine was to publish at last.
whole(Node) ->
    {part_prepared, ok, #{publish := Whole}} =
        lists:keyfind(part_prepared, 1, lists:reverse(words(Node))),
    Whole.

%% The error of a backup that fails, at once or later.
failed(_, {error, Error}) ->
    Error;
failed(Node, {ok, Job}) ->
    #{state := failed, error := Error} = ended(Node, Job),
    Error.

start_backup(#node{vm = Vm}, Options) ->
    call(Vm, fun() -> rabbit_hot_backup:start_cluster_backup(Options) end).

words(#node{directory = Directory}) ->
    hot_backup_part_engine:words(Directory).

status(#node{vm = Vm}, Job) ->
    {ok, Status} = call(Vm, fun() -> rabbit_hot_backup_cluster:status(Job) end),
    Status.

%% The ID of a backup that succeeds.
done(Node, {ok, Job}) ->
    #{state := done, backup := Id} = ended(Node, Job),
    Id.

ended(Node, Job) ->
    eventually(fun() ->
                       case status(Node, Job) of
                           #{state := running} = Status -> Status;
                           _ -> true
                       end
               end, ?LONG),
    status(Node, Job).

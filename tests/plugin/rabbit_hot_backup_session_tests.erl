%% The conversation itself: order, deadlines, versions, and what an engine must not do.
-module(rabbit_hot_backup_session_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/2, ask/3, attach/0, session/1, expect/1, eventually/1, hello/0,
                             stand_in/1, unload/1]).

session_test_() ->
    {foreach,
     fun() -> hot_backup_harness:start_plugin(#{repository => "/r"}) end,
     fun hot_backup_harness:stop_plugin/1,
     [{timeout, 60, Test} ||
         Test <- [{"hello", fun hellos_are_exchanged/0},
                  {"no common version", fun a_version_that_does_not_fit_is_told/0},
                  {"hello comes first", fun nothing_comes_before_hello/0},
                  {"hello comes once", fun hello_comes_once/0},
                  {"unknown operations", fun unknown_operations_are_refused/0},
                  {"wrong arguments", fun wrong_arguments_are_refused/0},
                  {"in order", fun requests_are_answered_in_order/0},
                  {"too late", fun requests_that_are_too_late_are_dropped/0},
                  {"never too late", fun ends_are_never_too_late/0},
                  {"late ones do not count", fun late_requests_do_not_count/0},
                  {"held up", fun a_node_that_cannot_be_described_holds_nothing_up/0},
                  {"other messages", fun only_the_engine_can_flood/0},
                  {"no holder", fun a_session_ends_with_its_holder/0},
                  {"no session", fun a_session_that_cannot_start_is_an_error/0},
                  {"the same number", fun request_numbers_are_unique/0},
                  {"too many", fun open_requests_are_bounded/0},
                  {"no message", fun what_is_no_message_ends_the_session/0},
                  {"a job", fun a_job_goes_through_its_states/0},
                  {"cancel", fun a_job_can_be_cancelled/0},
                  {"newer notices", fun unknown_notices_are_ignored/0},
                  {"our requests", fun requests_of_ours_are_answered/0},
                  {"no answer", fun a_request_that_is_not_answered_ends_the_session/0},
                  {"acknowledging too much", fun acknowledging_too_much_is_harmless/0},
                  {"description", fun files_are_described/0},
                  {"plugin stopped", fun a_session_ends_with_the_plugin/0}]]}.

hellos_are_exchanged() ->
    {ok, Session} = rabbit_hot_backup_session:attach(self()),
    Session ! hello(),
    {hello, [1], Info} = expect(hello),
    Node = atom_to_binary(node()),
    ?assertMatch(#{plugin_version := <<_, _/binary>>, node := Node, cluster := _,
                   rabbitmq_version := _, erlang_version := _, metadata_store := mnesia}, Info),
    Otp = list_to_binary(erlang:system_info(otp_release)),
    ?assertEqual(Otp, maps:get(erlang_version, Info)).

a_version_that_does_not_fit_is_told() ->
    {ok, Session} = rabbit_hot_backup_session:attach(self()),
    Monitor = monitor(process, Session),
    Session ! {hello, [7], #{}},
    {hello, [1], _} = expect(hello),
    ?assertMatch(#{code := mismatch, hint := <<"Upgrade the plugin", _/binary>>}, ended(Monitor)).

nothing_comes_before_hello() ->
    {ok, Session} = rabbit_hot_backup_session:attach(self()),
    Monitor = monitor(process, Session),
    Session ! {request, 1, 1000, describe, #{}},
    ?assertMatch(#{code := failed}, ended(Monitor)).

hello_comes_once() ->
    Session = attach(),
    Monitor = monitor(process, Session),
    Session ! hello(),
    ?assertMatch(#{code := failed}, ended(Monitor)).

unknown_operations_are_refused() ->
    Session = attach(),
    ?assertMatch({error, #{code := unsupported,
                           message := <<"the operation defragment is not known">>}},
                 ask(Session, defragment)),
    Session ! {request, 5, 1000, {unknown, <<"of the future">>}, #{}},
    ?assertMatch({reply, 5, error, #{code := unsupported}}, expect(reply)).

wrong_arguments_are_refused() ->
    Session = attach(),
    [?assertMatch({error, #{code := failed}}, ask(Session, Operation, Arguments))
     || {Operation, Arguments} <- [{job_begin, #{}},
                                   {job_begin, #{kind => restore, repository => <<"/r">>}},
                                   {job_begin, #{kind => backup, repository => "/r"}},
                                   {job_end, #{job => 1}},
                                   {job_end, #{job => 1, outcome => done}},
                                   {job_end, #{job => 1, outcome => failed}},
                                   {stop, #{}},
                                   {stop, #{max_pause => 0}},
                                   {stop, #{max_pause => 1.5}},
                                   {statistics_stream, #{}},
                                   {checkpoint_stream, #{}},
                                   {checkpoint_stream, #{stream => -1}}]],
    ?assertMatch({error, #{code := mismatch}},
                 ask(Session, job_end, #{job => 1, outcome => done, backup => <<"B">>,
                                         bytes => 1})).

requests_are_answered_in_order() ->
    Session = attach(),
    %% The first one needs a worker, which is held up; the others wait behind it.
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    [Session ! {request, Id, 10000, Operation, #{}}
     || {Id, Operation} <- [{1, checkpoint_end}, {2, defragment}, {3, checkpoint_end}]],
    receive {reply, _, _, _} -> error(too_early) after 50 -> ok end,
    ok = sys:resume(rabbit_hot_backup_checkpoints),
    ?assertEqual([1, 2, 3], [element(2, expect(reply)) || _ <- [1, 2, 3]]).

requests_that_are_too_late_are_dropped() ->
    Session = attach(),
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    Session ! {request, 1, 10000, checkpoint_end, #{}},
    Session ! {request, 2, 10, defragment, #{}},
    Session ! {request, 3, 10000, defragment, #{}},
    receive after 50 -> ok end,
    ok = sys:resume(rabbit_hot_backup_checkpoints),
    ?assertMatch({reply, 1, ok, _}, expect(reply)),
    ?assertMatch({reply, 3, error, _}, expect(reply)),
    receive {reply, Id, _, _} -> error({late, Id}) after 100 -> ok end.

%% What they end would stay for ever.
ends_are_never_too_late() ->
    Session = attach(),
    {ok, #{job := Job}} = ask(Session, job_begin, #{kind => backup, repository => <<"/r">>}),
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    Session ! {request, 1, 10, checkpoint_end, #{}},
    Session ! {request, 2, 10, job_end, #{job => Job, outcome => done, backup => <<"B">>,
                                          bytes => 1}},
    receive after 50 -> ok end,
    ok = sys:resume(rabbit_hot_backup_checkpoints),
    ?assertMatch({reply, 1, ok, _}, expect(reply)),
    ?assertMatch({reply, 2, ok, _}, expect(reply)),
    ?assertMatch([#{id := Job, state := done}], rabbit_hot_backup:history()).

%% Nobody waits for them any more: they are not open.
late_requests_do_not_count() ->
    Session = attach(),
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    Session ! {request, 1, 10000, checkpoint_end, #{}},
    [begin
         [Session ! {request, 100 * Round + N, 1, defragment, #{}} || N <- lists:seq(1, 60)],
         receive after 20 -> ok end
     end || Round <- [1, 2, 3]],
    ok = sys:resume(rabbit_hot_backup_checkpoints),
    ?assertMatch({reply, 1, ok, _}, expect(reply)),
    ?assertMatch({error, #{code := unsupported}}, ask(Session, defragment)).

%% A store that does not answer, while the plugin finds out what to say in its hello.
a_node_that_cannot_be_described_holds_nothing_up() ->
    Standing = stand_in([{rabbit_nodes, ["cluster_name() -> test ! {asked, self()},"
                                         "                  receive never -> ok end."]}]),
    {ok, Session} = rabbit_hot_backup_session:attach(self()),
    Monitor = monitor(process, Session),
    Session ! hello(),
    {asked, Asked} = expect(asked),
    {status, _, _, _} = sys:get_status(session(Session), 1000),
    exit(Session, shutdown),
    receive {'DOWN', Monitor, _, _, _} -> ok after 10000 -> error(the_session_goes_on) end,
    eventually(fun() -> not is_process_alive(Asked) end),
    unload(Standing).

%% What comes from elsewhere may queue up in the session.
only_the_engine_can_flood() ->
    Holder = attach(),
    Session = session(Holder),
    ok = sys:suspend(Session),
    [Session ! elsewhere || _ <- lists:seq(1, 1500)],
    Holder ! {request, 1, 10000, defragment, #{}},
    eventually(fun() -> process_info(Holder, message_queue_len) =:= {message_queue_len, 0} end),
    [Session ! elsewhere || _ <- lists:seq(1, 1500)],
    ok = sys:resume(Session),
    ?assertMatch({reply, 1, error, #{code := unsupported}}, expect(reply)),
    Monitor = monitor(process, Holder),
    ok = sys:suspend(Session),
    [Holder ! {notice, weather, #{}} || _ <- lists:seq(1, 1500)],
    eventually(fun() -> process_info(Holder, message_queue_len) =:= {message_queue_len, 0} end),
    ok = sys:resume(Session),
    ?assertMatch(#{message := <<"the program sends more than can be read">>}, ended(Monitor)).

%% Without it the engine is not heard, and the carrier is gone with it.
a_session_ends_with_its_holder() ->
    Holder = attach(),
    Monitor = monitor(process, session(Holder)),
    exit(Holder, kill),
    ?assertMatch(#{code := failed,
                   message := <<"the process that holds the program's connection ended: killed">>},
                 ended(Monitor)).

a_session_that_cannot_start_is_an_error() ->
    ?assertMatch({error, #{code := failed}},
                 rabbit_hot_backup_session_sup:start_session(#{target => nonsense})).

request_numbers_are_unique() ->
    Session = attach(),
    Monitor = monitor(process, Session),
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    Session ! {request, 1, 10000, checkpoint_end, #{}},
    Session ! {request, 1, 10000, describe, #{}},
    ?assertMatch(#{message := <<"the program used the request number 1 twice">>}, ended(Monitor)),
    ok = sys:resume(rabbit_hot_backup_checkpoints).

open_requests_are_bounded() ->
    Session = attach(),
    Monitor = monitor(process, Session),
    ok = sys:suspend(rabbit_hot_backup_checkpoints),
    [Session ! {request, Id, 10000, checkpoint_end, #{}} || Id <- lists:seq(1, 65)],
    ?assertMatch(#{message := <<"the program has more than 64 requests open">>}, ended(Monitor)),
    ok = sys:resume(rabbit_hot_backup_checkpoints).

what_is_no_message_ends_the_session() ->
    [begin
         Session = attach(),
         Monitor = monitor(process, Session),
         Session ! Term,
         ?assertMatch(#{code := failed}, ended(Monitor))
     end || Term <- [nonsense, {data, 1, 0, <<>>}, {ack, -1, 0}, {request, 1, 2, 3, 4}, <<>>]].

a_job_goes_through_its_states() ->
    Session = attach(),
    {ok, #{job := Job}} = ask(Session, job_begin, #{kind => backup, repository => <<"/r">>}),
    Session ! {notice, progress, #{job => Job, phase => <<"metadata">>, done => 5, total => 0}},
    eventually(fun() -> maps:get(phase, rabbit_hot_backup_jobs:current(), none) =:= <<"metadata">>
               end),
    Other = spawn_attached(),
    ?assertMatch({error, #{code := busy}}, asked_by(Other)),
    {ok, #{}} = ask(Session, job_end, #{job => Job, outcome => failed, bytes => 5,
                                        error => #{code => stalled, message => <<"no room">>,
                                                   hint => <<"Make some.">>}}),
    ?assertMatch(#{job := none}, rabbit_hot_backup:status()),
    ?assertMatch([#{state := failed, bytes := 5,
                    error := #{code := stalled, message := <<"no room">>,
                               hint := <<"Make some.">>}}],
                 rabbit_hot_backup:history()).

%% Another engine, which asks for the job slot.
spawn_attached() ->
    Test = self(),
    spawn(fun() ->
                  Session = attach(),
                  Test ! {asked, self(), ask(Session, job_begin, #{kind => backup,
                                                                   repository => <<"/r">>})}
          end).

asked_by(Engine) ->
    receive {asked, Engine, Answer} -> Answer after 10000 -> error(not_asked) end.

a_job_can_be_cancelled() ->
    ?assertMatch({error, _}, rabbit_hot_backup:cancel()),
    Session = attach(),
    {ok, #{job := Job}} = ask(Session, job_begin, #{kind => backup, repository => <<"/r">>}),
    ?assertMatch({error, _}, rabbit_hot_backup:cancel(Job + 1)),
    ok = rabbit_hot_backup:cancel(),
    ?assertEqual({notice, cancel, #{job => Job}}, expect(notice)),
    {ok, #{}} = ask(Session, job_end, #{job => Job, outcome => cancelled, bytes => 0,
                                        error => #{code => cancelled, message => <<"cancelled">>,
                                                   hint => <<>>}}),
    ?assertMatch([#{state := cancelled, error := #{code := cancelled}}],
                 rabbit_hot_backup:history()).

unknown_notices_are_ignored() ->
    Session = attach(),
    Session ! {notice, weather, #{}},
    Session ! {notice, {unknown, <<"of the future">>}, #{}},
    Session ! {notice, progress, #{job => 99}},
    ?assertMatch({error, #{code := unsupported}}, ask(Session, defragment)).

requests_of_ours_are_answered() ->
    Session = attach(),
    Test = self(),
    spawn_link(fun() -> Test ! {answer, rabbit_hot_backup_session:request(
                                          session(Session), backup, #{job => 1}, 5000)} end),
    {request, Id, 5000, backup, #{job := 1}} = expect(request),
    %% An answer to what was not asked finds nobody.
    Session ! {reply, Id + 1, ok, #{}},
    Session ! {reply, Id, ok, #{accepted => true}},
    ?assertEqual({answer, {ok, #{accepted => true}}}, expect(answer)).

a_request_that_is_not_answered_ends_the_session() ->
    Session = session(attach()),
    Monitor = monitor(process, Session),
    ?assertMatch({error, #{code := stalled}},
                 rabbit_hot_backup_session:request(Session, backup, #{job => 1}, 50)),
    ?assertMatch(#{code := stalled}, ended(Monitor)),
    ?assertMatch({error, #{code := failed}},
                 rabbit_hot_backup_session:request(Session, backup, #{job => 1}, 50)).

acknowledging_too_much_is_harmless() ->
    Session = attach(),
    %% Of a stream that is over, or never was.
    Session ! {ack, 17, 3},
    ?assertMatch({error, #{code := unsupported}}, ask(Session, defragment)).

files_are_described() ->
    Directory = hot_backup_harness:temp_dir(),
    Path = filename:join(Directory, "rabbitmq.conf"),
    ok = file:write_file(Path, <<"listeners.tcp.default = 5672\n">>),
    ok = file:change_mode(Path, 8#640),
    Expected = unicode:characters_to_binary(Path),
    ?assertMatch(#{role := <<"rabbitmq.conf">>, path := Expected, mode := 8#640, mtime := _,
                   content := <<"listeners.tcp.default = 5672\n">>},
                 rabbit_hot_backup_describe:file(<<"rabbitmq.conf">>, Path)),
    ok = file:write_file(Path, binary:copy(<<" ">>, 4 * 1024 * 1024 + 1)),
    ?assertMatch(#{error := <<"it is longer than 4 MiB">>},
                 rabbit_hot_backup_describe:file(<<"rabbitmq.conf">>, Path)),
    ?assertMatch(#{error := <<"it is not a regular file">>},
                 rabbit_hot_backup_describe:file(<<"rabbitmq.conf">>, Directory)),
    ok = file:delete(Path),
    ?assertMatch(#{error := <<"no such file or directory">>},
                 rabbit_hot_backup_describe:file(<<"rabbitmq.conf">>, Path)),
    hot_backup_harness:remove(Directory).

a_session_ends_with_the_plugin() ->
    Session = attach(),
    {ok, _} = ask(Session, job_begin, #{kind => backup, repository => <<"/r">>}),
    Monitor = monitor(process, Session),
    ok = supervisor:terminate_child(rabbit_hot_backup_sup, rabbit_hot_backup_session_sup),
    receive {'DOWN', Monitor, _, _, shutdown} -> ok after 10000 -> error(goes_on) end,
    ?assertMatch([#{state := failed, error := #{message := <<"the plugin was stopped">>}}],
                 rabbit_hot_backup:history()).

%% ------------------------------------------------------------------

%% The error that a session ends with.
ended(Monitor) ->
    receive
        {'DOWN', Monitor, _, _, {shutdown, Error}} -> Error
    after 10000 ->
            error(the_session_goes_on)
    end.

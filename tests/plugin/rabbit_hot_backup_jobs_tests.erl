-module(rabbit_hot_backup_jobs_tests).

-include_lib("eunit/include/eunit.hrl").

jobs_test_() ->
    {foreach,
     fun() -> {ok, Pid} = rabbit_hot_backup_jobs:start_link(), Pid end,
     fun(Pid) -> gen_server:stop(Pid) end,
     [fun a_job_from_begin_to_end/0,
      fun a_requested_job_belongs_to_its_session/0,
      fun only_one_job_at_a_time/0,
      fun checks_and_restores_run_beside_a_backup/0,
      fun a_job_is_found_while_it_runs_and_later/0,
      fun a_job_that_is_cancelled_for_an_error_has_failed/0,
      fun a_job_ends_with_its_session/0,
      fun a_request_that_is_refused_has_failed/0,
      fun a_request_that_does_not_begin_has_failed/0,
      fun a_job_that_is_begun_in_time_goes_on/0,
      fun a_job_that_could_not_begin_can_be_ended/0,
      fun others_cannot_touch_a_job/0,
      fun subscribers_are_told/0,
      fun history_is_bounded/0]}.

a_job_from_begin_to_end() ->
    ?assertEqual(none, rabbit_hot_backup_jobs:current()),
    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
    ok = rabbit_hot_backup_jobs:progress(self(), Id,
                                         #{phase => <<"metadata">>, progress => {1, 2}}),
    ?assertMatch(#{id := Id, kind := backup, state := running, repository := <<"/r">>,
                   phase := <<"metadata">>, progress := {1, 2}, started := _},
                 rabbit_hot_backup_jobs:current()),
    ok = rabbit_hot_backup_jobs:end_job(self(), Id, done, #{backup => <<"B">>, bytes => 3}),
    ?assertEqual(none, rabbit_hot_backup_jobs:current()),
    ?assertMatch([#{id := Id, state := done, backup := <<"B">>, bytes := 3, finished := _}],
                 rabbit_hot_backup_jobs:history()).

a_requested_job_belongs_to_its_session() ->
    Session = session(),
    {ok, Id} = rabbit_hot_backup_jobs:request(Session, backup(), 10000),
    ?assertMatch(#{state := requested}, rabbit_hot_backup_jobs:current()),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:begin_job(self(), (backup())#{job => Id})),
    ?assertEqual({ok, Id}, rabbit_hot_backup_jobs:begin_job(Session, (backup())#{job => Id})),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:begin_job(Session, (backup())#{job => Id})),
    ?assertMatch(#{state := running}, rabbit_hot_backup_jobs:current()).

only_one_job_at_a_time() ->
    {ok, _} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
    {error, #{code := busy, message := Message}} =
        rabbit_hot_backup_jobs:begin_job(session(), backup()),
    ?assertMatch({match, _}, re:run(Message, "^another backup is running since 2.*Z \\(job 1\\)$")),
    ?assertMatch({error, #{code := busy}},
                 rabbit_hot_backup_jobs:request(session(), backup(), 10000)).

checks_and_restores_run_beside_a_backup() ->
    Check = #{kind => verify, repository => <<"/r">>, backup => <<"B">>},
    {ok, Backup} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
    {ok, Verify} = rabbit_hot_backup_jobs:begin_job(self(), Check),
    ?assertMatch({error, #{code := busy}},
                 rabbit_hot_backup_jobs:begin_job(self(), Check#{kind := drill})),
    {ok, Restore} = rabbit_hot_backup_jobs:begin_job(self(), Check#{kind := restore}),
    ?assertEqual([Backup, Verify, Restore],
                 lists:sort([Id || #{id := Id} <- rabbit_hot_backup_jobs:running()])),
    ok = rabbit_hot_backup_jobs:end_job(self(), Verify, done, #{result => #{<<"whole">> => true}}),
    {ok, _} = rabbit_hot_backup_jobs:begin_job(self(), Check#{kind := drill}),
    ?assertMatch(#{id := Backup, state := running}, rabbit_hot_backup_jobs:current()).

a_job_that_is_cancelled_for_an_error_has_failed() ->
    Ended = fun(Why, Outcome) ->
                    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
                    ok = rabbit_hot_backup_jobs:cancelled_for(Id, Why),
                    Error = rabbit_hot_backup_protocol:error(cancelled, "the backup was cancelled"),
                    ok = rabbit_hot_backup_jobs:end_job(self(), Id, Outcome, #{error => Error}),
                    {ok, Job} = rabbit_hot_backup_jobs:find(Id),
                    ?assertNot(maps:is_key(cancelled_for, Job)),
                    Job
            end,
    Lost = rabbit_hot_backup_protocol:error(failed, "another node is lost"),
    Wanted = rabbit_hot_backup_protocol:error(cancelled, "somebody wanted it"),
    ?assertMatch(#{state := failed, error := Lost}, Ended(Lost, cancelled)),
    ?assertMatch(#{state := cancelled}, Ended(Wanted, cancelled)),
    %% What came before the program could be told.
    ?assertMatch(#{state := done}, Ended(Lost, done)),
    ok = rabbit_hot_backup_jobs:cancelled_for(1000, Lost).

a_job_is_found_while_it_runs_and_later() ->
    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), (backup())#{actor => #{user => <<"u">>}}),
    ?assertMatch({ok, #{id := Id, state := running, actor := #{user := <<"u">>}}},
                 rabbit_hot_backup_jobs:find(Id)),
    ok = rabbit_hot_backup_jobs:end_job(self(), Id, cancelled, #{}),
    ?assertMatch({ok, #{id := Id, state := cancelled}}, rabbit_hot_backup_jobs:find(Id)),
    ?assertEqual(error, rabbit_hot_backup_jobs:find(Id + 1)).

subscribers_are_told() ->
    [ok = rabbit_hot_backup_jobs:subscribe() || _ <- [once, twice]],
    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
    ?assertMatch({ok, #{id := Id}}, rabbit_hot_backup_jobs:running_in(backup)),
    ?assertEqual(none, rabbit_hot_backup_jobs:running_in(check)),
    ok = rabbit_hot_backup_jobs:end_job(self(), Id, done, #{backup => <<"B">>, bytes => 3}),
    receive {job_began, #{id := Id, state := running}} -> ok end,
    receive {job_ended, #{id := Id, state := done, backup := <<"B">>}} -> ok end,
    receive Message -> error({twice, Message}) after 0 -> ok end.

a_job_ends_with_its_session() ->
    Session = session(),
    {ok, _} = rabbit_hot_backup_jobs:begin_job(Session, backup()),
    Error = rabbit_hot_backup_protocol:error(stalled, "nothing came"),
    exit(Session, {shutdown, Error}),
    hot_backup_harness:eventually(fun() -> rabbit_hot_backup_jobs:current() =:= none end),
    ?assertMatch([#{state := failed, error := Error}], rabbit_hot_backup_jobs:history()),
    {ok, _} = rabbit_hot_backup_jobs:begin_job(self(), backup()).

a_request_that_is_refused_has_failed() ->
    {ok, Id} = rabbit_hot_backup_jobs:request(self(), backup(), 10000),
    Error = rabbit_hot_backup_protocol:error(failed, "no"),
    ok = rabbit_hot_backup_jobs:fail(Id, Error),
    ?assertMatch([#{id := Id, state := failed, error := Error}], rabbit_hot_backup_jobs:history()),
    ok = rabbit_hot_backup_jobs:fail(Id, Error).

a_request_that_does_not_begin_has_failed() ->
    {ok, Id} = rabbit_hot_backup_jobs:request(self(), backup(), 20),
    hot_backup_harness:eventually(fun() -> rabbit_hot_backup_jobs:current() =:= none end),
    ?assertMatch([#{id := Id, state := failed, error := #{code := stalled}}],
                 rabbit_hot_backup_jobs:history()),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:begin_job(self(), (backup())#{job => Id})).

a_job_that_is_begun_in_time_goes_on() ->
    {ok, Id} = rabbit_hot_backup_jobs:request(self(), backup(), 50),
    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), (backup())#{job => Id}),
    receive after 100 -> ok end,
    ?assertMatch(#{id := Id, state := running}, rabbit_hot_backup_jobs:current()).

%% The engine was given the job, and its job_begin was lost or refused.
a_job_that_could_not_begin_can_be_ended() ->
    {ok, Id} = rabbit_hot_backup_jobs:request(self(), backup(), 10000),
    Error = rabbit_hot_backup_protocol:error(failed, "no room"),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:end_job(session(), Id, failed, #{error => Error})),
    ok = rabbit_hot_backup_jobs:end_job(self(), Id, failed, #{error => Error}),
    ?assertEqual(none, rabbit_hot_backup_jobs:current()),
    ?assertMatch([#{id := Id, state := failed, error := Error}], rabbit_hot_backup_jobs:history()).

others_cannot_touch_a_job() ->
    {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
    Other = session(),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:end_job(Other, Id, failed, #{})),
    ?assertMatch({error, #{code := mismatch}},
                 rabbit_hot_backup_jobs:end_job(self(), Id + 1, failed, #{})),
    ok = rabbit_hot_backup_jobs:progress(Other, Id, #{phase => <<"x">>, progress => {0, 0}}),
    ?assertNot(maps:is_key(phase, rabbit_hot_backup_jobs:current())).

history_is_bounded() ->
    [begin
         {ok, Id} = rabbit_hot_backup_jobs:begin_job(self(), backup()),
         ok = rabbit_hot_backup_jobs:end_job(self(), Id, done, #{backup => <<"B">>, bytes => 0})
     end || _ <- lists:seq(1, 103)],
    History = rabbit_hot_backup_jobs:history(),
    ?assertEqual(lists:seq(103, 4, -1), [Id || #{id := Id} <- History]).

backup() ->
    #{kind => backup, repository => <<"/r">>}.

session() ->
    spawn(fun() -> receive stop -> ok end end).

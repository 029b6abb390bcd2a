%% When the nodes of a cluster meet, what comes of it, and when it is given up.
-module(rabbit_hot_backup_attempts_tests).

-include_lib("eunit/include/eunit.hrl").

-import(rabbit_hot_backup_attempts, [new/1, next/1, appoint/4, judge/4, missed/3, is_polite/1,
                                     verdict/1, number/1]).

-define(ID, <<"20261123T053000.000Z">>).

%% The clock of `b` is a second ahead of that of `a`.
-define(AHEAD, 1000000).

all_meet_at_one_moment_by_their_own_clocks_test() ->
    {ok, #{a := A, b := B}} = appoint(?ID, a, armed(), next(new(plain))),
    ?assertEqual(?AHEAD, maps:get(at, B) - maps:get(at, A)),
    ?assert(maps:get(at, A) > rabbit_hot_backup_overlap:now_us()),
    ?assertMatch(#{attempt := {?ID, 1}, max_pause := 250000, window := 25000}, A),
    %% Each waits for all others.
    [Other] = maps:get(peers, A),
    ?assertNotEqual([Other], maps:get(peers, B)).

who_has_no_clock_is_not_met_test() ->
    #{a := Known} = Armed = armed(),
    Deaf = Armed#{a := Known#{bounds := #{b => #{bounds => none, round_trip_us => unknown}}}},
    ?assertEqual({unknown, b}, appoint(?ID, a, Deaf, next(new(plain)))).

nobody_waits_longer_than_anybody_may_be_held_test() ->
    #{a := Known} = Armed = armed(),
    {ok, #{a := #{window := Window}}} =
        appoint(?ID, a, Armed#{a := Known#{max_pause := 5000}}, next(new(plain))),
    ?assertEqual(5000, Window).

a_cluster_of_one_meets_too_test() ->
    #{a := Known} = armed(),
    Alone = #{a => Known#{bounds := #{}}},
    Attempts = next(new(tls)),
    {ok, #{a := #{peers := []}}} = appoint(?ID, a, Alone, Attempts),
    ?assertMatch({held, #{nodes := [#{node := <<"a">>, began_us := 0, ended_us := 10}]}},
                 judge(a, Alone, #{a => {held(100, 110, []), #{}}}, Attempts)).

what_is_proven_is_written_down_test() ->
    Attempts = next(next(new(plain))),
    Reports = #{a => {held(2000, 9000, []), bounds_of(b, ?AHEAD)},
                b => {held(?AHEAD + 3000, ?AHEAD + 8000, []), bounds_of(a, -?AHEAD)}},
    {held, Stop} = judge(a, armed(), Reports, Attempts),
    ?assertMatch(#{attempts := 2, proof := <<"clocks">>, pause_us := 7100, window_us := 25000,
                   round_trip_us := 80,
                   nodes := [#{node := <<"a">>, began_us := -1000, ended_us := 6000},
                             #{node := <<"b">>, began_us := 0, ended_us := 5000}]}, Stop),
    ?assert(maps:get(overlap_us, Stop) =< 5000).

what_is_not_proven_is_apart_test() ->
    Reports = #{a => {held(2000, 2900, []), bounds_of(b, ?AHEAD)},
                b => {held(?AHEAD + 3000, ?AHEAD + 8000, []), bounds_of(a, -?AHEAD)}},
    ?assertEqual({miss, apart}, judge(a, armed(), Reports, next(new(plain)))),
    ?assertEqual(apart, verdict(apart)).

one_is_enough_to_miss_test_() ->
    [?_assertEqual({miss, Expected},
                   judge(a, armed(), #{a => {held(2000, 9000, [b]), #{}},
                                       b => {(held(1, 2, [a]))#{outcome := Outcome}, #{}}},
                         next(new(plain))))
     || {Outcome, Expected} <- [{committed, committed}, {late, late}, {refused, refused}]].

others_wait_after_a_few_commits_test() ->
    ?assert(is_polite(new(plain))),
    ?assertNot(is_polite(miss(4, committed, new(plain)))),
    ?assert(is_polite(miss(4, late, new(plain)))).

a_wider_window_follows_what_was_apart_test() ->
    {ok, #{a := #{window := First}}} = appoint(?ID, a, armed(), new(tls)),
    {ok, #{a := #{window := Second}}} = appoint(?ID, a, armed(), miss(1, apart, new(tls))),
    ?assertEqual({8000, 16000}, {First, Second}),
    {again, _, Slow} = missed(apart, {b, 40000}, new(tls)),
    {ok, #{a := #{window := Third}}} = appoint(?ID, a, armed(), Slow),
    ?assertEqual(60000, Third).

it_is_given_up_test_() ->
    [?_test(begin
                {Count, Error} = until_given_up(Miss, new(plain), 1),
                ?assertMatch({Most, #{code := failed, hint := <<_, _/binary>>}}, {Count, Error})
            end)
     || {Miss, Most} <- [{committed, 20}, {late, 6}, {refused, 20}, {apart, 10}, {silent, 5},
                         {leaderless, 20}]].

attempts_are_counted_test() ->
    ?assertEqual(2, number(next(next(new(plain))))).

%% ------------------------------------------------------------------

until_given_up(Miss, Attempts, Count) ->
    case missed(Miss, {b, 1000}, Attempts) of
        {again, Pause, Next} when Pause > 0 -> until_given_up(Miss, Next, Count + 1);
        {given_up, Error} -> {Count, Error}
    end.

miss(0, _, Attempts) ->
    Attempts;
miss(Times, Miss, Attempts) ->
    {again, _, Next} = missed(Miss, {b, 1000}, Attempts),
    miss(Times - 1, Miss, Next).

armed() ->
    Other = spawn(fun() -> ok end),
    #{a => #{holder => self(), max_pause => 250000, bounds => bounds_of(b, ?AHEAD)},
      b => #{holder => Other, max_pause => 250000, bounds => bounds_of(a, -?AHEAD)}}.

bounds_of(Node, Ahead) ->
    #{Node => #{bounds => {Ahead - 40, Ahead + 40, 0}, round_trip_us => 80}}.

held(Began, Ended, Heard) ->
    #{outcome => held, instant => 0, acquisition_us => 100, hold_us => Ended - Began,
      pause_us => Ended - Began + 100, began => Began, ended => Ended, heard => Heard}.

-module(rabbit_hot_backup_pace_tests).

-include_lib("eunit/include/eunit.hrl").

progress(Phase, Done, Total) ->
    #{phase => Phase, progress => {Done, Total}}.

after_all(Steps) ->
    lists:foldl(fun({Now, News}, Job) -> rabbit_hot_backup_pace:progressed(Job, News, Now) end,
                #{id => 1}, Steps).

speed_is_measured_within_a_phase_test() ->
    Begun = {1000, progress(<<"copy">>, 500, 10500)},
    First = after_all([Begun]),
    ?assertMatch(#{id := 1, phase := <<"copy">>, progress := {500, 10500}}, First),
    ?assertNot(maps:is_key(speed, First)),
    ?assertNot(maps:is_key(speed, after_all([Begun, {1100, progress(<<"copy">>, 900, 10500)}]))),
    Later = [Begun, {3000, progress(<<"copy">>, 2500, 10500)}],
    ?assertMatch(#{speed := 1000, remaining := 8}, after_all(Later)),
    Next = after_all(Later ++ [{3100, progress(<<"metadata">>, 2600, 10500)}]),
    ?assertNot(maps:is_key(speed, Next)),
    ?assertNot(maps:is_key(remaining, Next)).

an_unknown_or_exceeded_total_test() ->
    Unknown = after_all([{0, progress(<<"copy">>, 0, 0)}, {1000, progress(<<"copy">>, 10, 0)}]),
    ?assertMatch(#{speed := 10}, Unknown),
    ?assertNot(maps:is_key(remaining, Unknown)),
    ?assertMatch(#{speed := 10, remaining := 0},
                 after_all([{0, progress(<<"copy">>, 0, 5)}, {1000, progress(<<"copy">>, 10, 5)}])).

a_phase_that_begins_again_is_measured_again_test() ->
    Again = after_all([{0, progress(<<"copy">>, 100, 200)}, {1000, progress(<<"copy">>, 50, 200)}]),
    ?assertNot(maps:is_key(speed, Again)).

what_the_program_says_is_taken_test() ->
    Said = (progress(<<"verify">>, 900, 1000))#{speed => 7, remaining => 3},
    ?assertMatch(#{speed := 7, remaining := 3},
                 after_all([{0, progress(<<"verify">>, 0, 1000)}, {1000, Said}])).

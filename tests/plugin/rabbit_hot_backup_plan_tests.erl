%% Clocks that go, jump and are put back.
-module(rabbit_hot_backup_plan_tests).

-include_lib("eunit/include/eunit.hrl").

-define(NIGHT, 9000).  % 02:30 on a day that began at 0
-define(DAY, 86400).

due_once_at_its_time_test() ->
    {wait, Before} = look(?NIGHT - 1, plan(0)),
    {due, Then} = look(?NIGHT, Before),
    ?assertEqual(?NIGHT + ?DAY, rabbit_hot_backup_plan:next(Then)),
    {wait, After} = look(?NIGHT + 60, Then),
    ?assertEqual(?NIGHT + ?DAY, rabbit_hot_backup_plan:next(After)).

due_once_after_a_jump_over_days_test() ->
    {due, Then} = look(5 * ?DAY, plan(0)),
    ?assertEqual(5 * ?DAY + ?NIGHT, rabbit_hot_backup_plan:next(Then)),
    ?assertMatch({wait, _}, look(5 * ?DAY + 1, Then)).

not_due_again_when_the_clock_is_put_back_a_little_test() ->
    {due, Then} = look(?NIGHT + 5, plan(0)),
    {wait, Back} = look(?NIGHT - 30, Then),
    ?assertEqual(?NIGHT + ?DAY, rabbit_hot_backup_plan:next(Back)),
    {wait, Again} = look(?NIGHT, Back),
    %% Not even when it is put back twice.
    {wait, Twice} = look(?NIGHT - 40, Again),
    ?assertMatch({wait, _}, look(?NIGHT + 10, Twice)).

planned_anew_when_the_clock_was_wrong_test() ->
    Years = 1000 * ?DAY,
    {due, Wrong} = look(Years, plan(0)),
    {wait, Right} = look(?DAY, Wrong),
    ?assertEqual(?DAY + ?NIGHT, rabbit_hot_backup_plan:next(Right)),
    ?assertMatch({due, _}, look(?DAY + ?NIGHT, Right)).

missed_test() ->
    Plan = plan(3 * ?DAY),
    IsMissed = fun(Newest, Now) -> rabbit_hot_backup_plan:is_missed(Newest, Now, Plan) end,
    ?assertNot(IsMissed(?NIGHT, ?NIGHT + 100)),
    ?assertNot(IsMissed(?NIGHT + 10, ?NIGHT + ?DAY - 1)),
    ?assert(IsMissed(?NIGHT + 10, ?NIGHT + ?DAY)),
    ?assert(IsMissed(?NIGHT - 1, ?NIGHT)),
    %% One from the future tells of a clock that was wrong: nothing is known to be missed.
    ?assertNot(IsMissed(9 * ?DAY, ?DAY)).

plan(Now) ->
    {ok, Schedule} = rabbit_hot_backup_cron:parse("30 2 * * *"),
    rabbit_hot_backup_plan:new(Schedule, rabbit_hot_backup_cron:offset(utc), Now).

look(Now, Plan) ->
    rabbit_hot_backup_plan:look(Now, Plan).

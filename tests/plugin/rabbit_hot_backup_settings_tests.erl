%% Settings that make sense, and what happens to those that do not.
-module(rabbit_hot_backup_settings_tests).

-include_lib("eunit/include/eunit.hrl").

settings_test_() ->
    {foreach,
     fun() -> ok = application:load(rabbitmq_hot_backup) end,
     fun(_) -> ok = application:unload(rabbitmq_hot_backup) end,
     [fun nothing_is_required/0,
      fun what_is_set_is_taken/0,
      fun what_makes_no_sense_is_not_taken/0,
      fun retention_becomes_options/0]}.

nothing_is_required() ->
    ok = rabbit_hot_backup_settings:warn(),
    ?assertEqual(<<"/var/backups/rabbitmq">>, rabbit_hot_backup_settings:repository()),
    ?assertEqual({250, 0, 60000}, {rabbit_hot_backup_settings:max_pause(),
                                   rabbit_hot_backup_settings:rate_limit(),
                                   rabbit_hot_backup_settings:stall_timeout()}),
    ?assertEqual({none, none, local}, {rabbit_hot_backup_settings:schedule(backup),
                                       rabbit_hot_backup_settings:schedule(drill),
                                       rabbit_hot_backup_settings:time_zone()}),
    ?assertEqual({cluster, false}, {rabbit_hot_backup_settings:schedule_scope(),
                                    rabbit_hot_backup_settings:schedule_allow_missing()}),
    ?assert(rabbit_hot_backup_settings:verify_after_backup()),
    ?assertEqual({percent, 5}, rabbit_hot_backup_settings:min_free_space()),
    ?assertEqual({none, none, 60000}, {rabbit_hot_backup_settings:hook(before),
                                       rabbit_hot_backup_settings:hook('after'),
                                       rabbit_hot_backup_settings:hook_timeout()}),
    ?assertEqual([], rabbit_hot_backup_settings:retention()),
    ?assertEqual([], rabbit_hot_backup_settings:retention_options([])).

what_is_set_is_taken() ->
    set([{schedule, "30 2 * * *"}, {schedule_scope, node}, {schedule_allow_missing, true},
         {drill_schedule, <<"@weekly">>}, {time_zone, utc},
         {verify_after_backup, false}, {min_free_space, 1000}, {hook_before, "/bin/true"},
         {hook_after, <<"/bin/false">>}, {hook_timeout, 1000}]),
    ?assertMatch({ok, <<"30 2 * * *">>, _}, rabbit_hot_backup_settings:schedule(backup)),
    ?assertEqual({node, true}, {rabbit_hot_backup_settings:schedule_scope(),
                                rabbit_hot_backup_settings:schedule_allow_missing()}),
    ?assertMatch({ok, <<"@weekly">>, _}, rabbit_hot_backup_settings:schedule(drill)),
    ?assertEqual(utc, rabbit_hot_backup_settings:time_zone()),
    ?assertNot(rabbit_hot_backup_settings:verify_after_backup()),
    ?assertEqual(1000, rabbit_hot_backup_settings:min_free_space()),
    ?assertEqual({<<"/bin/true">>, <<"/bin/false">>, 1000},
                 {rabbit_hot_backup_settings:hook(before), rabbit_hot_backup_settings:hook('after'),
                  rabbit_hot_backup_settings:hook_timeout()}).

%% From advanced.config anything may come.
what_makes_no_sense_is_not_taken() ->
    Default = answers(),
    Names = [schedule, drill_schedule, time_zone, verify_after_backup, min_free_space, hook_before,
             hook_after, hook_timeout, retention, max_pause, rate_limit, schedule_scope,
             schedule_allow_missing],
    [begin
         set([{Name, Value} || Name <- Names]),
         ok = rabbit_hot_backup_settings:warn(),
         ?assertEqual(Default, answers())
     end || Value <- [<<"61 * * * *">>, "* * * *", mars, {percent, 100}, -1, 1.5, [], <<>>,
                      [{keep_last, -1}], [{keep_first, 1}], [keep_last], {}, undefined]].

answers() ->
    [rabbit_hot_backup_settings:Function() || Function <- [time_zone, verify_after_backup,
                                                           min_free_space, hook_timeout,
                                                           retention, max_pause,
                                                           rate_limit, schedule_scope,
                                                           schedule_allow_missing]]
        ++ [rabbit_hot_backup_settings:schedule(Job) || Job <- [backup, drill]]
        ++ [rabbit_hot_backup_settings:hook(When) || When <- [before, 'after']].

retention_becomes_options() ->
    set([{retention, [{keep_daily, 7}, {keep_last, 3}, {keep_yearly, 0}]}, {time_zone, utc}]),
    ?assertEqual([{keep_last, 3}, {keep_daily, 7}], rabbit_hot_backup_settings:retention()),
    ?assertEqual([<<"--keep-last=3">>, <<"--keep-daily=7">>, <<"--time-zone=utc">>],
                 [iolist_to_binary(Option)
                  || Option <- rabbit_hot_backup_settings:retention_options(
                                 rabbit_hot_backup_settings:retention())]).

set(Settings) ->
    [ok = application:set_env(rabbitmq_hot_backup, Name, Value) || {Name, Value} <- Settings].

%% When schedules are due: what crontab(5) says, and years of minutes looked at one by one.
-module(rabbit_hot_backup_cron_tests).

-include_lib("eunit/include/eunit.hrl").

-define(EPOCH, 62167219200).

%% ------------------------------------------------------------------
%% What is understood

next_test_() ->
    [{Text ++ " after " ++ After,
      ?_assertEqual(at(Expected), next(Text, at(After), rabbit_hot_backup_cron:offset(utc)))}
     || {Text, After, Expected} <-
            [{"* * * * *", "2026-11-22 17:45:54", "2026-11-22 17:46:00"},
             {"* * * * *", "2026-11-22 17:46:00", "2026-11-22 17:47:00"},
             {"* * * * *", "2026-12-31 23:59:59", "2027-01-01 00:00:00"},
             {"30 2 * * *", "2026-11-22 02:29:59", "2026-11-22 02:30:00"},
             {"30 2 * * *", "2026-11-22 02:30:00", "2026-11-23 02:30:00"},
             {"  30\t2  * * * ", "2026-11-22 02:30:00", "2026-11-23 02:30:00"},
             {"*/20 * * * *", "2026-11-22 17:45:00", "2026-11-22 18:00:00"},
             {"5-59/20 * * * *", "2026-11-22 17:45:00", "2026-11-22 18:05:00"},
             {"1,59,7-9 * * * *", "2026-11-22 17:08:00", "2026-11-22 17:09:00"},
             {"1,59,7-9 * * * *", "2026-11-22 17:09:00", "2026-11-22 17:59:00"},
             {"0 22-23,1 * * *", "2026-11-22 23:00:00", "2026-11-23 01:00:00"},
             %% 22 November 2026 is a Sunday.
             {"0 0 * * 0", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
             {"0 0 * * 7", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
             {"0 0 * * sun", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
             {"0 0 * * Mon-Fri", "2026-11-20 00:00:00", "2026-11-23 00:00:00"},
             {"0 0 * * sat-sun", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
             {"0 0 * * 5-7", "2026-11-22 00:00:00", "2026-11-27 00:00:00"},
             {"0 0 * * 6-0", "2026-11-22 00:00:00", "2026-11-28 00:00:00"},
             {"0 0 * DEC *", "2026-11-22 00:00:00", "2026-12-01 00:00:00"},
             {"0 0 1 jan-mar/2 *", "2026-11-22 00:00:00", "2027-01-01 00:00:00"},
             {"0 0 1 jan-mar/2 *", "2027-01-01 00:00:00", "2027-03-01 00:00:00"},
             %% Month ends and leap years.
             {"0 12 31 * *", "2026-11-22 00:00:00", "2026-12-31 12:00:00"},
             {"0 12 31 * *", "2027-01-31 12:00:00", "2027-03-31 12:00:00"},
             {"0 0 29 2 *", "2026-11-22 00:00:00", "2028-02-29 00:00:00"},
             {"0 0 29 2 *", "2096-02-29 00:00:00", "2104-02-29 00:00:00"},
             %% The 13th or a Friday; a Friday that is the 13th needs a field with a star.
             {"0 0 13 * 5", "2026-11-13 00:00:00", "2026-11-20 00:00:00"},
             {"0 0 13 * 5", "2026-12-11 00:00:00", "2026-12-13 00:00:00"},
             {"0 0 13 * *", "2026-11-13 00:00:00", "2026-12-13 00:00:00"},
             {"0 0 */2 * fri", "2026-11-13 00:00:00", "2026-11-27 00:00:00"},
             %% The 30th of February or a Monday in February.
             {"0 0 30 2 1", "2026-11-22 00:00:00", "2027-02-01 00:00:00"},
             {"@hourly", "2026-11-22 17:45:54", "2026-11-22 18:00:00"},
             {"@daily", "2026-11-22 17:45:54", "2026-11-23 00:00:00"},
             {"@midnight", "2026-11-22 17:45:54", "2026-11-23 00:00:00"},
             {"@Weekly", "2026-11-22 17:45:54", "2026-11-29 00:00:00"},
             {"@monthly", "2026-11-22 17:45:54", "2026-12-01 00:00:00"},
             {"@yearly", "2026-11-22 17:45:54", "2027-01-01 00:00:00"},
             {"@annually", "2026-11-22 17:45:54", "2027-01-01 00:00:00"}]].

refused_test_() ->
    [{Text, ?_assertEqual({error, unicode:characters_to_binary(
                                    ["the schedule \"", Text, "\" is not understood: ", Reason])},
                          rabbit_hot_backup_cron:parse(Text))}
     || {Text, Reason} <-
            [{"", fields(0)},
             {"30 2 * *", fields(4)},
             {"0 30 2 * * *", fields(6)},
             {"daily", fields(1)},
             {"@reboot", names()},
             {"@dayly", names()},
             {"60 * * * *", "\"60\" is not a minute, which is a number from 0 to 59"},
             {"-1 * * * *", "\"\" is not a minute, which is a number from 0 to 59"},
             {"1.5 * * * *", "\"1.5\" is not a minute, which is a number from 0 to 59"},
             {"100 * * * *", "\"100\" is not a minute, which is a number from 0 to 59"},
             {"* 24 * * *", "\"24\" is not an hour, which is a number from 0 to 23"},
             {"* 1,,2 * * *", "\"\" is not an hour, which is a number from 0 to 23"},
             {"* * 0 * *", "\"0\" is not a day of the month, which is a number from 1 to 31"},
             {"* * * 13 *",
              "\"13\" is not a month, which is a number from 1 to 12 or a name as jan"},
             {"* * * mon *",
              "\"mon\" is not a month, which is a number from 1 to 12 or a name as jan"},
             {"* * * * 8",
              "\"8\" is not a day of the week, which is a number from 0 to 7 or a name as sun"},
             {"* * * * sunday",
              "\"sunday\" is not a day of the week, which is a number from 0 to 7 or a name as sun"},
             {"30-10 * * * *", "the range \"30-10\" ends before it begins"},
             {"* * * * fri-mon", "the range \"fri-mon\" ends before it begins"},
             {"5/20 * * * *",
              "the step in \"5/20\" needs a range before it, as in 0-59/2"},
             {"*/0 * * * *", "\"0\" is not a step, a whole number from 1 on"},
             {"*/ * * * *", "\"\" is not a step, a whole number from 1 on"},
             {"*/1/2 * * * *", "\"1/2\" is not a step, a whole number from 1 on"},
             {"0 0 30 2 *", "no month that it names has a day 30"},
             {"0 0 31 4,6,9,11 *", "no month that it names has a day 31"}]].

fields(Count) ->
    io_lib:format("it has ~b fields and not five: minute, hour, day of the month, month, "
                  "day of the week", [Count]).

names() ->
    "there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually".

%% ------------------------------------------------------------------
%% Clocks that are put forward and back

change_test_() ->
    Offset = berlin(),
    [{Text ++ " after " ++ After, ?_assertEqual(at(Expected), next(Text, at(After), Offset))}
     || {Text, After, Expected} <-
            %% 29 March 2026, 02:00 becomes 03:00, at 01:00 UTC.
            [{"30 2 * * *", "2026-03-28 01:30:00", "2026-03-29 01:00:00"},
             {"30 2 * * *", "2026-03-29 01:00:00", "2026-03-30 00:30:00"},
             %% Two that are skipped, and one at the very moment: it is due once.
             {"0,30 2,3 * * *", "2026-03-29 00:59:59", "2026-03-29 01:00:00"},
             {"0,30 2,3 * * *", "2026-03-29 01:00:00", "2026-03-29 01:30:00"},
             {"30 * * * *", "2026-03-29 00:30:00", "2026-03-29 01:30:00"},
             {"0 3 * * *", "2026-03-28 02:00:00", "2026-03-29 01:00:00"},
             %% 25 October 2026, 03:00 becomes 02:00, at 01:00 UTC.
             {"30 2 * * *", "2026-10-24 00:30:00", "2026-10-25 00:30:00"},
             {"30 2 * * *", "2026-10-25 00:30:00", "2026-10-26 01:30:00"},
             {"30 2 * * *", "2026-10-25 01:10:00", "2026-10-26 01:30:00"},
             {"@daily", "2026-10-24 22:00:00", "2026-10-25 23:00:00"},
             %% Every hour is every hour.
             {"@hourly", "2026-10-25 00:00:00", "2026-10-25 01:00:00"},
             {"@hourly", "2026-10-25 01:00:00", "2026-10-25 02:00:00"}]].

%% The test is run where clocks are put forward and back as in Berlin.
local_test() ->
    Offset = rabbit_hot_backup_cron:offset(local),
    ?assertEqual("CET-1CEST,M3.5.0,M10.5.0/3", os:getenv("TZ")),
    ?assertEqual([(berlin())(Time) || Time <- times()], [Offset(Time) || Time <- times()]),
    ?assertEqual(at("2026-03-29 01:00:00"), next("30 2 * * *", at("2026-03-28 01:30:00"), Offset)).

times() ->
    lists:seq(at("2025-01-01 00:00:00"), at("2028-01-01 00:00:00"), 1800).

%% ------------------------------------------------------------------
%% Minute by minute

%% A schedule is due when the clock has gone beyond a minute for the first time since it was last
%% looked at that fits; one of every hour, when the clock shows a minute that fits.
oracle_test_() ->
    From = at("2024-06-01 00:00:00"),
    [{timeout, 300, {Zone, fun() -> compare(From, To, Offset) end}}
     || {Zone, Offset, To} <-
            [{"UTC", fun(_) -> 0 end, at("2028-03-02 00:00:00")},
             {"an hour in spring and autumn", berlin(), at("2027-01-01 00:00:00")},
             {"half an hour", changes([{at("2024-10-05 15:30:00"), 39600},
                                       {at("2025-04-05 15:00:00"), 37800}], 37800),
              at("2025-06-01 00:00:00")},
             {"a minute after midnight", changes([{at("2024-11-03 02:31:00"), -12600},
                                                  {at("2025-03-09 03:31:00"), -9000}], -9000),
              at("2025-06-01 00:00:00")},
             {"at midnight, forward", changes([{at("2024-09-08 04:00:00"), -10800},
                                               {at("2025-04-06 03:00:00"), -14400}], -14400),
              at("2025-06-01 00:00:00")},
             {"a day is left out", changes([{at("2024-12-30 10:00:00"), 50400}], -36000),
              at("2025-02-01 00:00:00")},
             {"a day comes twice", changes([{at("2024-12-30 10:00:00"), -36000}], 50400),
              at("2025-02-01 00:00:00")}]].

schedules() ->
    [{"* * * * *", every_hour, fun(_, _) -> true end},
     {"@hourly", every_hour, fun(_, {_, Minute, _}) -> Minute =:= 0 end},
     {"7,45 * * * mon", every_hour,
      fun(Date, {_, Minute, _}) ->
              lists:member(Minute, [7, 45]) andalso calendar:day_of_the_week(Date) =:= 1
      end},
     {"*/20 * * * sun", every_hour,
      fun(Date, {_, Minute, _}) ->
              Minute rem 20 =:= 0 andalso calendar:day_of_the_week(Date) =:= 7
      end},
     {"30 2 * * *", fixed, fun(_, {Hour, Minute, _}) -> {Hour, Minute} =:= {2, 30} end},
     {"@daily", fixed, fun(_, {Hour, Minute, _}) -> {Hour, Minute} =:= {0, 0} end},
     {"*/15 0-3,23 * * *", fixed,
      fun(_, {Hour, Minute, _}) ->
              Minute rem 15 =:= 0 andalso lists:member(Hour, [23, 0, 1, 2, 3])
      end},
     {"0 0 29-31 * *", fixed,
      fun({_, _, Day}, {Hour, Minute, _}) -> {Hour, Minute} =:= {0, 0} andalso Day > 28 end},
     {"59 23 13 */3 5", fixed,
      fun({_, Month, Day} = Date, {Hour, Minute, _}) ->
              {Hour, Minute} =:= {23, 59} andalso Month rem 3 =:= 1
                  andalso (Day =:= 13 orelse calendar:day_of_the_week(Date) =:= 5)
      end}].

compare(From, To, Offset) ->
    Expected = minutes(From, To, Offset),
    [?assertEqual({Text, maps:get(Text, Expected)}, {Text, all(parsed(Text), From, To, Offset)})
     || {Text, _, _} <- schedules()].

all(Schedule, After, To, Offset) ->
    case rabbit_hot_backup_cron:next(Schedule, After, Offset) of
        Next when Next =< To -> [Next | all(Schedule, Next, To, Offset)];
        _ -> []
    end.

minutes(From, To, Offset) ->
    %% What the clock showed before: it may be put back right at the beginning.
    Shown = lists:max([Time + Offset(Time) || Time <- lists:seq(From - 198000, From, 60)]),
    Due = minutes(From + 60, To, Offset, Shown, maps:from_list([{Text, []} || {Text, _, _} <- schedules()])),
    maps:map(fun(_, Times) -> lists:reverse(Times) end, Due).

minutes(Time, To, _, _, Due) when Time > To ->
    Due;
minutes(Time, To, Offset, Shown, Due) ->
    Clock = Time + Offset(Time),
    New = [moment_of(Minute)
           || Clock > Shown, Minute <- lists:seq(Shown + 60, Clock, 60)],
    Now = moment_of(Clock),
    Next = lists:foldl(fun({Text, Kind, Fits}, Known) ->
                               Looked = case Kind of every_hour -> [Now]; fixed -> New end,
                               case lists:any(fun({Date, At}) -> Fits(Date, At) end, Looked) of
                                   true -> maps:update_with(Text, fun(T) -> [Time | T] end, Known);
                                   false -> Known
                               end
                       end, Due, schedules()),
    minutes(Time + 60, To, Offset, max(Shown, Clock), Next).

%% ------------------------------------------------------------------

parsed(Text) ->
    {ok, Schedule} = rabbit_hot_backup_cron:parse(Text),
    Schedule.

next(Text, After, Offset) ->
    rabbit_hot_backup_cron:next(parsed(Text), After, Offset).

at(Text) ->
    calendar:rfc3339_to_system_time(Text ++ "Z").

moment_of(Seconds) ->
    calendar:gregorian_seconds_to_datetime(Seconds + ?EPOCH).

%% The last Sundays of March and October, at 01:00 UTC.
berlin() ->
    changes(lists:append([[{last_sunday(Year, 3), 7200}, {last_sunday(Year, 10), 3600}]
                          || Year <- lists:seq(2023, 2029)]), 3600).

last_sunday(Year, Month) ->
    Day = 31 - calendar:day_of_the_week(Year, Month, 31) rem 7,
    calendar:datetime_to_gregorian_seconds({{Year, Month, Day}, {1, 0, 0}}) - ?EPOCH.

changes(Changes, Before) ->
    fun(Time) ->
            lists:foldl(fun({At, Offset}, _) when At =< Time -> Offset;
                           (_, Known) -> Known
                        end, Before, Changes)
    end.

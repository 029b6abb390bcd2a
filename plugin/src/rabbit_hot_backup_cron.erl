%% When something is due that is written as in crontab(5): `30 2 * * mon-fri`, `@daily`.
%%
%% Five fields: minute, hour, day of the month, month, day of the week (Sunday is 0 and 7). A field
%% is `*`, or a list of numbers, names and ranges; `*` and ranges may have a step. Where the day of
%% the month and that of the week are both restricted, that is, neither begins with `*`, either one
%% will do.
%%
%% Where clocks are put forward or back: a time that the clock skips is due at the moment at which
%% it is put forward, and one that it shows twice is due the first time. A schedule of every hour
%% goes on every hour instead: it is due whenever the clock shows such a minute.
%%
%% Nothing here reads a clock: the caller says how far its calendar is ahead of UTC, and when.
-module(rabbit_hot_backup_cron).

-export([parse/1, next/3]).
-export([offset/1]).

-export_type([schedule/0, offset/0, seconds/0]).

-type seconds() :: integer().
%% Unix time.

-type offset() :: fun((seconds()) -> integer()).
%% How many seconds the calendar is ahead of UTC at a time.

-record(schedule, {minutes :: [0..59],
                   hours :: [0..23],
                   days :: [1..31],
                   months :: [1..12],
                   weekdays :: [1..7],  % as calendar:day_of_the_week/1 counts
                   days_rule :: both | either}).

-opaque schedule() :: #schedule{}.

-type field() :: {Name :: string(), First :: integer(), Last :: integer(), Names :: [string()]}.

-define(DAY, 86400).
-define(EPOCH, 62167219200).  % in the seconds that the module calendar counts

-spec parse(string() | binary()) -> {ok, schedule()} | {error, Reason :: binary()}.
%% The reason is a cause for people, without a full stop.
parse(Text) ->
    Written = string:trim(unicode:characters_to_list(Text)),
    try
        {ok, check_days(fields(string:lexemes(expand(string:lowercase(Written)), " \t")))}
    catch
        throw:{not_understood, Reason} ->
            {error, unicode:characters_to_binary(
                      io_lib:format("the schedule \"~ts\" is not understood: ~ts",
                                    [Written, Reason]))}
    end.

-spec expand(string()) -> string().
expand("@" ++ _ = Name) ->
    Known = #{"@hourly" => "0 * * * *",
              "@daily" => "0 0 * * *",
              "@midnight" => "0 0 * * *",
              "@weekly" => "0 0 * * 0",
              "@monthly" => "0 0 1 * *",
              "@yearly" => "0 0 1 1 *",
              "@annually" => "0 0 1 1 *"},
    case Known of
        #{Name := Fields} -> Fields;
        #{} -> not_understood("there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly "
                              "and @annually", [])
    end;
expand(Text) ->
    Text.

-spec fields([string()]) -> #schedule{}.
fields([Minutes, Hours, Days, Months, Weekdays]) ->
    #schedule{minutes = field({"a minute", 0, 59, []}, Minutes),
              hours = field({"an hour", 0, 23, []}, Hours),
              days = field({"a day of the month", 1, 31, []}, Days),
              months = field({"a month", 1, 12, ["jan", "feb", "mar", "apr", "may", "jun", "jul",
                                               "aug", "sep", "oct", "nov", "dec"]}, Months),
              weekdays = weekdays(Weekdays),
              days_rule = case hd(Days) =:= $* orelse hd(Weekdays) =:= $* of
                              true -> both;
                              false -> either
                          end};
fields(Fields) ->
    not_understood("it has ~b fields and not five: minute, hour, day of the month, month, "
                   "day of the week", [length(Fields)]).

-spec weekdays(string()) -> [1..7].
weekdays(Text) ->
    Names = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    Days = field({"a day of the week", 0, 7, Names}, Text),
    lists:usort([case Day of 0 -> 7; _ -> Day end || Day <- Days]).

-spec field(field(), string()) -> [non_neg_integer()].
field(Field, Text) ->
    lists:usort(lists:append([values(Field, Element)
                              || Element <- string:split(Text, ",", all)])).

-spec values(field(), string()) -> [integer()].
values({_, First, Last, _} = Field, Text) ->
    {Range, Step} = case string:split(Text, "/") of
                        [Whole] -> {Whole, 1};
                        [Some, Every] -> {Some, step(Every)}
                    end,
    case {Range, string:split(Range, "-")} of
        {"*", _} -> lists:seq(First, Last, Step);
        {_, [From, To]} -> range(Field, Text, value(Field, From), value(Field, To), Step);
        {_, [_]} when Range =:= Text -> [value(Field, Range)];
        _ -> not_understood("the step in \"~ts\" needs a range before it, as in ~b-~b/2",
                            [Text, First, Last])
    end.

-spec range(field(), string(), integer(), integer(), pos_integer()) -> [integer()].
range(_, _, From, To, Step) when From =< To ->
    lists:seq(From, To, Step);
range({_, 0, 7, _}, _, From, 0, Step) ->
    %% A week that ends on Sunday.
    lists:seq(From, 7, Step);
range(_, Text, _, _, _) ->
    not_understood("the range \"~ts\" ends before it begins", [Text]).

-spec step(string()) -> pos_integer().
step(Text) ->
    case number(Text) of
        Step when is_integer(Step), Step > 0 -> Step;
        _ -> not_understood("\"~ts\" is not a step, a whole number from 1 on", [Text])
    end.

-spec value(field(), string()) -> integer().
value({Name, First, Last, Names}, Text) ->
    case {number(Text), position(Text, Names, First)} of
        {Number, _} when is_integer(Number), Number >= First, Number =< Last -> Number;
        {error, Number} when is_integer(Number) -> Number;
        _ -> not_understood("\"~ts\" is not ~ts, which is a number from ~b to ~b~ts",
                            [Text, Name, First, Last,
                             [[" or a name as ", hd(Names)] || Names =/= []]])
    end.

-spec number(string()) -> non_neg_integer() | error.
%% Two digits are enough for all that there is.
number([Digit | _] = Text) when Digit >= $0, Digit =< $9, length(Text) =< 2 ->
    case string:to_integer(Text) of
        {Number, ""} -> Number;
        _ -> error
    end;
number(_) ->
    error.

-spec position(string(), [string()], integer()) -> integer() | error.
position(_, [], _) -> error;
position(Name, [Name | _], Position) -> Position;
position(Name, [_ | Names], Position) -> position(Name, Names, Position + 1).

-spec check_days(#schedule{}) -> #schedule{}.
%% The 30th of February never comes.
check_days(#schedule{days = Days, months = Months, days_rule = both} = Schedule) ->
    %% 2024 is a leap year.
    case [Month || Month <- Months, hd(Days) =< calendar:last_day_of_the_month(2024, Month)] of
        [] -> not_understood("no month that it names has a day ~b", [hd(Days)]);
        _ -> Schedule
    end;
check_days(Schedule) ->
    Schedule.

-spec not_understood(io:format(), [term()]) -> no_return().
not_understood(Format, Arguments) ->
    throw({not_understood, io_lib:format(Format, Arguments)}).

%% ------------------------------------------------------------------

-spec offset(local | utc) -> offset().
%% Of this machine's clock, or that of UTC.
offset(utc) ->
    fun(_) -> 0 end;
offset(local) ->
    fun(Time) ->
            Utc = calendar:gregorian_seconds_to_datetime(Time + ?EPOCH),
            Local = calendar:universal_time_to_local_time(Utc),
            calendar:datetime_to_gregorian_seconds(Local) - ?EPOCH - Time
    end.

-spec next(schedule(), After :: seconds(), offset()) -> seconds().
%% The first time after the given one at which it is due.
next(#schedule{hours = Hours} = Schedule, After, Offset) when length(Hours) =:= 24 ->
    next_shown((After div 60 + 1) * 60, Schedule, Offset);
next(Schedule, After, Offset) ->
    next_fixed(After + Offset(After), Schedule, After, Offset).

%% Clock: what it shows, in seconds as if it were UTC. What it shows later is due later, or at the
%% same moment.
-spec next_fixed(Clock :: seconds(), #schedule{}, After :: seconds(), offset()) -> seconds().
next_fixed(Clock, Schedule, After, Offset) ->
    Next = next_clock(Clock, Schedule),
    case moment(Next, Offset) of
        Moment when Moment > After -> Moment;
        _ -> next_fixed(Next, Schedule, After, Offset)
    end.

-spec next_shown(seconds(), #schedule{}, offset()) -> seconds().
%% The first whole minute from this one on at which the clock shows what the schedule says. On a
%% day on which it is due it is so within the hour.
next_shown(Time, #schedule{minutes = Minutes} = Schedule, Offset) ->
    Clock = Time + Offset(Time),
    Day = floor_days(Clock),
    case is_day(Day, Schedule) of
        true ->
            case lists:member(Clock div 60 rem 60, Minutes) of
                true -> Time;
                false -> next_shown(Time + 60, Schedule, Offset)
            end;
        false ->
            %% A clock that is put back at midnight may have shown that day already.
            Begin = moment(next_day(Day + 1, Schedule) * ?DAY, Offset),
            next_shown(max(Begin, Time + 60), Schedule, Offset)
    end.

-spec next_clock(seconds(), #schedule{}) -> seconds().
next_clock(Clock, #schedule{minutes = Minutes, hours = Hours} = Schedule) ->
    Today = floor_days(Clock),
    Minute = (Clock - Today * ?DAY) div 60,
    Later = [At || Hour <- Hours, At <- [Hour * 60 + M || M <- Minutes], At > Minute],
    case {is_day(Today, Schedule), Later} of
        {true, [At | _]} -> Today * ?DAY + At * 60;
        _ -> next_day(Today + 1, Schedule) * ?DAY + hd(Hours) * 3600 + hd(Minutes) * 60
    end.

-spec next_day(Day :: integer(), #schedule{}) -> integer().
%% Days are counted from 1970 on.
next_day(Day, Schedule) ->
    case is_day(Day, Schedule) of
        true -> Day;
        false -> next_day(Day + 1, Schedule)
    end.

-spec is_day(integer(), #schedule{}) -> boolean().
is_day(Day, #schedule{days = Days, months = Months, weekdays = Weekdays, days_rule = Rule}) ->
    {_, Month, DayOfMonth} = Date = calendar:gregorian_days_to_date(Day + ?EPOCH div ?DAY),
    Fits = {lists:member(DayOfMonth, Days),
            lists:member(calendar:day_of_the_week(Date), Weekdays)},
    lists:member(Month, Months)
        andalso case Rule of
                    both -> Fits =:= {true, true};
                    either -> Fits =/= {false, false}
                end.

-spec floor_days(seconds()) -> integer().
floor_days(Seconds) ->
    (Seconds - ((Seconds rem ?DAY) + ?DAY) rem ?DAY) div ?DAY.

%% ------------------------------------------------------------------

-spec moment(Clock :: seconds(), offset()) -> seconds().
%% When the clock shows this for the first time, or is put forward beyond it. Clocks are changed at
%% most once within the two days around it.
moment(Clock, Offset) ->
    Early = Offset(Clock - ?DAY),
    Late = Offset(Clock + ?DAY),
    Moments = [Clock - Ahead || Ahead <- [max(Early, Late), min(Early, Late)],
                                Offset(Clock - Ahead) =:= Ahead],
    case Moments of
        [First | _] -> First;
        [] -> change(Clock - ?DAY, Clock + ?DAY, Early, Offset)
    end.

-spec change(From :: seconds(), To :: seconds(), integer(), offset()) -> seconds().
%% The first moment with another offset than that of From.
change(From, To, _, _) when To - From =:= 1 ->
    To;
change(From, To, Ahead, Offset) ->
    Middle = (From + To) div 2,
    case Offset(Middle) of
        Ahead -> change(Middle, To, Ahead, Offset);
        _ -> change(From, Middle, Ahead, Offset)
    end.

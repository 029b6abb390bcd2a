%% The plugin's settings: `hot_backup.*` in rabbitmq.conf (docs/examples/hot-backup.conf), or the
%% application's environment in advanced.config.
%%
%% RabbitMQ checks what is in rabbitmq.conf when it boots. What comes from elsewhere and makes no
%% sense is replaced by the default, with a warning when the plugin starts: a slip in a file must
%% not make a backup fail in the night.
-module(rabbit_hot_backup_settings).

-export([warn/0]).

%% How backups are made.
-export([executable/0, repository/0, max_pause/0, rate_limit/0, stall_timeout/0]).

%% When, and what else happens then.
-export([schedule/1, schedule_scope/0, schedule_allow_missing/0, time_zone/0]).
-export([verify_after_backup/0, min_free_space/0]).
-export([hook/1, hook_timeout/0]).

%% What stays.
-export([rules/0, retention/0, retention_options/1]).

-export_type([rule/0]).

-type rule() :: keep_last | keep_hourly | keep_daily | keep_weekly | keep_monthly | keep_yearly.

-type setting() :: {Name :: atom(), Least :: integer(), Default :: integer()}.

-define(MAX_PAUSE, {max_pause, 1, 250}).
-define(RATE_LIMIT, {rate_limit, 0, 0}).
-define(STALL_TIMEOUT, {stall_timeout, 1, 60000}).
-define(HOOK_TIMEOUT, {hook_timeout, 1, 60000}).
-define(MIN_FREE_SPACE, {percent, 5}).

-spec warn() -> ok.
%% Says in the log which values are not taken, and what is probably not meant.
warn() ->
    lists:foreach(fun warn/1, [?MAX_PAUSE, ?RATE_LIMIT, ?STALL_TIMEOUT, ?HOOK_TIMEOUT]),
    Refused = [Name || {Name, Fits} <- checks(), not Fits(value(Name))],
    lists:foreach(fun(Name) ->
                          warn("the setting ~ts is ~tp, which makes no sense: the default is taken "
                               "in its place", [Name, value(Name)])
                  end, Refused),
    _ = [warn("~ts. It is left out", [Reason])
         || {error, Reason} <- [read_schedule(Job) || Job <- [backup, drill]]],
    case {schedule(backup), retention()} of
        {{ok, _, _}, []} -> warn("backups are made by schedule and none is ever removed. "
                                 "Set hot_backup.retention.keep_last or its like", []);
        _ -> ok
    end.

-spec checks() -> [{Name :: atom(), fun((term()) -> boolean())}].
checks() ->
    [{schedule_scope, fun(Scope) -> Scope =:= cluster orelse Scope =:= node end},
     {schedule_allow_missing, fun is_boolean/1},
     {time_zone, fun(Zone) -> Zone =:= local orelse Zone =:= utc end},
     {verify_after_backup, fun is_boolean/1},
     {min_free_space, fun is_space/1},
     {hook_before, fun is_hook/1},
     {hook_after, fun is_hook/1},
     {retention, fun(Rules) -> is_list(Rules) andalso lists:all(fun is_rule/1, Rules) end}].

-spec executable() -> file:filename().
%% The program that does the work.
executable() ->
    value(executable).

-spec repository() -> binary().
%% The directory that backups go to.
repository() ->
    rabbit_hot_backup_compat:path(value(repository)).

-spec max_pause() -> pos_integer().
%% How long the VM may be held, in milliseconds.
max_pause() ->
    number(?MAX_PAUSE).

-spec rate_limit() -> non_neg_integer().
%% How many bytes a second a backup may read while the node works on, 0 for as many as there are.
rate_limit() ->
    number(?RATE_LIMIT).

-spec stall_timeout() -> pos_integer().
%% How long an engine may get nothing done, in milliseconds.
stall_timeout() ->
    number(?STALL_TIMEOUT).

%% ------------------------------------------------------------------

-spec schedule(backup | drill) -> {ok, Text :: binary(), rabbit_hot_backup_cron:schedule()} | none.
%% When backups are made, and when the newest one is booted.
schedule(Job) ->
    case read_schedule(Job) of
        {error, _} -> none;
        Known -> Known
    end.

-spec schedule_scope() -> cluster | node.
%% Whether what the schedule makes on a member of a cluster are backups of all of it.
schedule_scope() ->
    fitting(schedule_scope, cluster).

-spec schedule_allow_missing() -> boolean().
%% Whether nodes may be missing in these that cannot take part.
schedule_allow_missing() ->
    fitting(schedule_allow_missing, false).

-spec read_schedule(backup | drill) ->
          {ok, binary(), rabbit_hot_backup_cron:schedule()} | none | {error, binary()}.
read_schedule(Job) ->
    Name = case Job of
               backup -> schedule;
               drill -> drill_schedule
           end,
    Value = value(Name),
    case is_text(Value) of
        _ when Value =:= none ->
            none;
        true ->
            case rabbit_hot_backup_cron:parse(Value) of
                {ok, Schedule} -> {ok, unicode:characters_to_binary(Value), Schedule};
                {error, Reason} -> {error, Reason}
            end;
        false ->
            {error, unicode:characters_to_binary(
                      io_lib:format("the setting ~ts is ~tp, which is not text", [Name, Value]))}
    end.

-spec is_text(term()) -> boolean().
is_text(Value) when is_binary(Value) -> is_list(unicode:characters_to_list(Value));
is_text(Value) -> io_lib:printable_unicode_list(Value).

-spec time_zone() -> local | utc.
%% In which schedules are meant, and days and weeks of the retention begin.
time_zone() ->
    fitting(time_zone, local).

-spec verify_after_backup() -> boolean().
%% Whether each backup that the node makes is compared with its checksums right away.
verify_after_backup() ->
    fitting(verify_after_backup, true).

-spec min_free_space() -> Bytes :: non_neg_integer() | {percent, 0..99}.
%% What must be free on the repository's file system when a scheduled backup begins.
min_free_space() ->
    fitting(min_free_space, ?MIN_FREE_SPACE).

-spec is_space(term()) -> boolean().
is_space({percent, Percent}) -> is_integer(Percent) andalso Percent >= 0 andalso Percent < 100;
is_space(Bytes) -> is_integer(Bytes) andalso Bytes >= 0.

-spec hook(before | 'after') -> binary() | none.
%% The program that runs before, or after, a scheduled backup.
hook(When) ->
    Name = case When of
               before -> hook_before;
               'after' -> hook_after
           end,
    case fitting(Name, none) of
        none -> none;
        Path -> rabbit_hot_backup_compat:path(Path)
    end.

-spec is_hook(term()) -> boolean().
is_hook(none) -> true;
is_hook([_ | _] = Path) -> filename:pathtype(Path) =:= absolute;
is_hook(<<Path/binary>>) -> filename:pathtype(Path) =:= absolute;
is_hook(_) -> false.

-spec hook_timeout() -> pos_integer().
%% How long it may take, in milliseconds.
hook_timeout() ->
    number(?HOOK_TIMEOUT).

-spec retention() -> [{rule(), pos_integer()}].
%% What is kept by the rules that are set. None: everything.
retention() ->
    Rules = fitting(retention, []),
    [{Rule, Count} || Rule <- rules(), {Known, Count} <- Rules, Known =:= Rule, Count > 0].

-spec retention_options([{rule(), pos_integer()}]) -> [iodata()].
%% Rules as options of `prune`; none when everything is kept.
retention_options([]) ->
    [];
retention_options(Rules) ->
    [["--", string:replace(atom_to_list(Rule), "_", "-"), "=", integer_to_list(Count)]
     || {Rule, Count} <- Rules] ++ [["--time-zone=", atom_to_list(time_zone())]].

-spec rules() -> [rule()].
rules() ->
    [keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly, keep_yearly].

-spec is_rule(term()) -> boolean().
is_rule({Rule, Count}) -> lists:member(Rule, rules()) andalso is_integer(Count) andalso Count >= 0;
is_rule(_) -> false.

%% ------------------------------------------------------------------

-spec number(setting()) -> integer().
number({Name, Least, Default}) ->
    case value(Name) of
        Number when is_integer(Number), Number >= Least -> Number;
        _ -> Default
    end.

-spec fitting(Name :: atom(), Default) -> Default | term().
fitting(Name, Default) ->
    Value = value(Name),
    {Name, Fits} = lists:keyfind(Name, 1, checks()),
    case Fits(Value) of
        true -> Value;
        false -> Default
    end.

-spec warn(setting()) -> ok.
warn({Name, Least, Default} = Setting) ->
    Value = value(Name),
    case number(Setting) of
        Value -> ok;
        _ -> warn("the setting ~ts is ~tp and must be a whole number of at least ~b: ~b is taken "
                  "in its place", [Name, Value, Least, Default])
    end.

-spec warn(io:format(), [term()]) -> ok.
warn(Format, Arguments) ->
    rabbit_hot_backup_compat:log(warning, Format, Arguments).

-spec value(Name :: atom()) -> term().
%% Every setting has a default in the application's environment.
value(Name) ->
    {ok, Value} = application:get_env(rabbitmq_hot_backup, Name),
    Value.

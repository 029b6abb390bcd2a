%% The plugin's settings: docs/examples/advanced.config.
%%
%% A number that makes no sense is replaced by the default, with a warning when the plugin starts: a
%% slip in a file must not make a backup fail in the night.
-module(rabbit_hot_backup_settings).

-export([warn/0]).
-export([executable/0, repository/0, max_pause/0, rate_limit/0, stall_timeout/0]).

-type setting() :: {Name :: atom(), Least :: integer(), Default :: integer()}.

-define(MAX_PAUSE, {max_pause, 1, 250}).
-define(RATE_LIMIT, {rate_limit, 0, 0}).
-define(STALL_TIMEOUT, {stall_timeout, 1, 60000}).

-spec warn() -> ok.
%% Says in the log which values are not taken.
warn() ->
    lists:foreach(fun warn/1, [?MAX_PAUSE, ?RATE_LIMIT, ?STALL_TIMEOUT]).

-spec executable() -> file:filename().
%% The program that does the work.
executable() ->
    {ok, Executable} = application:get_env(rabbitmq_hot_backup, executable),
    Executable.

-spec repository() -> binary().
%% The directory that backups go to.
repository() ->
    {ok, Repository} = application:get_env(rabbitmq_hot_backup, repository),
    rabbit_hot_backup_compat:path(Repository).

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

-spec number(setting()) -> integer().
number({_, Least, Default} = Setting) ->
    case value(Setting) of
        Number when is_integer(Number), Number >= Least -> Number;
        _ -> Default
    end.

-spec warn(setting()) -> ok.
warn({Name, Least, Default} = Setting) ->
    Value = value(Setting),
    case number(Setting) of
        Value ->
            ok;
        _ ->
            rabbit_hot_backup_compat:log(
              warning, "the setting ~ts is ~tp and must be a whole number of at least ~b: ~b is "
              "taken in its place", [Name, Value, Least, Default])
    end.

-spec value(setting()) -> term().
value({Name, _, Default}) ->
    application:get_env(rabbitmq_hot_backup, Name, Default).

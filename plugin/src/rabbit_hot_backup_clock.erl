%% How long a peer has been silent: one timer for all that a session waits for.
%%
%% The session says what it waits for (the mode) and how long at most. A new mode starts the clock
%% anew; a sign of life only moves the hand, and the timer looks at it when it fires, so that the
%% many messages of a stream cost no timers. Belongs to one process, which gets `{timeout, Timer,
%% clock}`.
-module(rabbit_hot_backup_clock).

-export([new/0, set/3, heard/1, mode/1, ring/2]).

-export_type([clock/0, limit/0]).

-type limit() :: non_neg_integer() | infinity.

-record(clock, {mode = stopped :: atom(),
                limit = infinity :: limit(),
                heard = 0 :: integer(),
                timer :: reference() | undefined}).

-opaque clock() :: #clock{}.

-spec new() -> clock().
new() ->
    #clock{}.

-spec mode(clock()) -> atom().
mode(#clock{mode = Mode}) ->
    Mode.

-spec set(Mode :: atom(), limit(), clock()) -> clock().
set(Mode, _, #clock{mode = Mode} = Clock) ->
    Clock;
set(Mode, Limit, #clock{timer = Timer}) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= undefined],
    heard(wind(Limit, #clock{mode = Mode, limit = Limit})).

-spec heard(clock()) -> clock().
heard(Clock) ->
    Clock#clock{heard = now_ms()}.

-spec ring(Timer :: reference(), clock()) ->
          {silent, Mode :: atom(), Milliseconds :: non_neg_integer(), clock()} | {ok, clock()}.
%% The timer has fired. After `silent` the clock stands still until a mode is set.
ring(Timer, #clock{timer = Timer, mode = Mode, limit = Limit, heard = Heard} = Clock)
  when is_integer(Limit) ->
    case Heard + Limit - now_ms() of
        Left when Left > 0 -> {ok, wind(Left, Clock)};
        _ -> {silent, Mode, Limit, #clock{}}
    end;
ring(_, Clock) ->
    {ok, Clock}.

-spec wind(limit(), clock()) -> clock().
wind(infinity, Clock) ->
    Clock;
wind(Milliseconds, Clock) ->
    Clock#clock{timer = erlang:start_timer(Milliseconds, self(), clock)}.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

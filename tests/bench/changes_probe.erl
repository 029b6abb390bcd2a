%% Runs inside a benchmark's broker: a client that changes metadata all the time, and how long each
%% change took.
-module(changes_probe).

-export([start/0, between/2, export/0]).
-export([open_write/1, write/2, commit_write/1, abort_write/1]).

-define(ACTOR, <<"changes_probe">>).
-define(EXCHANGE, {resource, <<"/">>, exchange, <<"changes_probe">>}).

-spec start() -> ok.
start() ->
    Self = self(),
    spawn(fun() ->
                  changes_probe = ets:new(changes_probe, [named_table, ordered_set]),
                  register(changes_probe, self()),
                  Self ! started,
                  change()
          end),
    receive started -> ok end.

change() ->
    timed(fun() -> rabbit_exchange:declare(?EXCHANGE, fanout, true, false, false, [], ?ACTOR) end),
    timed(fun() -> ok = rabbit_exchange:delete(?EXCHANGE, false, ?ACTOR) end),
    receive
        {between, From, To, Caller} ->
            Times = [(Ended - Begun) / 1000
                     || {Begun, Ended} <- ets:tab2list(changes_probe), Ended > From, Begun < To],
            true = ets:delete_all_objects(changes_probe),
            Caller ! {times, Times}
    after 0 -> ok
    end,
    change().

timed(Change) ->
    Begun = os:system_time(microsecond),
    _ = Change(),
    true = ets:insert(changes_probe, {Begun, os:system_time(microsecond)}).

%% Milliseconds that the changes took of which a part lies between two times (Unix, microseconds).
%% Forgets all that came before.
-spec between(integer(), integer()) -> [float()].
between(From, To) ->
    changes_probe ! {between, From, To, self()},
    receive {times, Times} -> Times end.

%% Khepri's own export with callbacks that do nothing; when it began and ended.
-spec export() -> {integer(), integer()}.
export() ->
    Begun = os:system_time(microsecond),
    ok = khepri:export(rabbit_khepri:get_store_id(), ?MODULE, none),
    {Begun, os:system_time(microsecond)}.

open_write(State) -> {ok, State}.
write(State, _) -> {ok, State}.
commit_write(_) -> ok.
abort_write(_) -> ok.

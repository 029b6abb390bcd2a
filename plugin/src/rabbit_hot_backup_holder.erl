%% Holds the whole VM still for some milliseconds: docs/protocol.md, "The stop".
%%
%% Each session has one holder, the process that the engine's messages arrive at: it owns the
%% carrier and hands everything that comes on to the session, in order, as `{carried, Message}`.
%% It exists because in the hold no other process of the broker runs, so whoever holds must hear the
%% engine by itself.
%%
%% The block itself belongs to a process made for it, the blocker. To stop the schedulers takes as
%% long as the longest operation on a dirty scheduler, and whoever waits for that in the VM can do
%% nothing else; but it can be killed, which gives it up. So the holder keeps the deadline, of the
%% acquisition too.
%%
%% What must be so in the hold:
%% - Nothing waits. A process that waits lets others run, and what is captured then is not of one
%%   instant: no call, no log, no `receive` without `after 0`, no send that may suspend.
%% - Whatever happens, it ends by the deadline. Each turn looks at the clock; and when this process
%%   dies, the blocker dies with it, and then the VM itself takes the block away.
%% - Nothing that arrives is lost: what is not for the hold is handled afterwards, in its order.
-module(rabbit_hot_backup_holder).

-export([start_link/1, hold/3, not_held/1]).
-export([init/2]).

-export_type([held/0, unchanged/0]).

-type held() :: #{outcome := held | committed | late | refused,
                  instant := integer(),
                  acquisition_us := non_neg_integer(),
                  hold_us := non_neg_integer(),
                  pause_us := non_neg_integer(),
                  store_us => non_neg_integer()}.
%% The result of `stop`. `store_us`: how long nobody could change metadata, where it is in Khepri.

-type unchanged() :: fun(() -> boolean()).
%% Whether no metadata was committed. It is called in the hold and so must not wait for anything:
%% rabbit_hot_backup_baseline.

-type verdict() :: captured | late | refused.

-type ending() :: {Outcome :: held | committed | late | refused,
                   Instant :: integer(), Held :: integer(), Ended :: integer(),
                   Arrived :: [term()]}.  % newest first

%% An engine that sends this many messages in the hold does not keep to the protocol.
-define(MOST_ARRIVED, 64).

%% Two that block at once would add their pauses up: the blocker has a name, so there is one.
-define(BLOCKER, rabbit_hot_backup_blocker).

-spec start_link(rabbit_hot_backup_carrier:target()) ->
          {ok, pid(), rabbit_hot_backup_carrier:carrier()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Opens the carrier for the calling session. Linked to it: they end together.
start_link(Target) ->
    proc_lib:start_link(?MODULE, init, [self(), Target]).

-spec hold(Holder :: pid(), MaxPause :: pos_integer(), unchanged()) ->
          {ok, held()} | {error, rabbit_hot_backup_protocol:error()}.
%% Holds the VM for at most so many microseconds, until the engine has said that it is done. A
%% caller that is gone when its turn comes gets no hold.
hold(Holder, MaxPause, Unchanged) ->
    Monitor = erlang:monitor(process, Holder),
    Holder ! {hold, self(), Monitor, MaxPause, Unchanged},
    receive
        {held, Monitor, Held} ->
            erlang:demonitor(Monitor, [flush]),
            {ok, Held};
        {'DOWN', Monitor, process, _, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the process that holds the node still ended: ~tp", [Reason])}
    end.

-spec not_held(committed | refused) -> held().
%% The result of a stop that was over before it began.
not_held(Outcome) ->
    #{outcome => Outcome, instant => os:system_time(microsecond), acquisition_us => 0,
      hold_us => 0, pause_us => 0}.

-spec init(Session :: pid(), rabbit_hot_backup_carrier:target()) -> no_return().
init(Session, Target) ->
    process_flag(trap_exit, true),
    case rabbit_hot_backup_carrier:open(Target) of
        {ok, Carrier} ->
            proc_lib:init_ack({ok, self(), Carrier}),
            loop(#{session => Session, carrier => Carrier, stops => 0});
        {error, Error} ->
            proc_lib:init_ack({error, Error}),
            exit(normal)
    end.

-type state() :: #{session := pid(),
                   carrier := rabbit_hot_backup_carrier:carrier(),
                   stops := non_neg_integer()}.

-spec loop(state()) -> no_return().
loop(State) ->
    receive
        Message -> loop(handle(Message, State))
    end.

-spec handle(term(), state()) -> state().
handle({hold, Caller, Reference, MaxPause, Unchanged}, State) ->
    case is_process_alive(Caller) of
        true ->
            #{carrier := Carrier, stops := Stops} = State,
            {Held, Arrived} = hold_still(Stops + 1, MaxPause, Unchanged, Carrier),
            Caller ! {held, Reference, Held},
            lists:foldl(fun handle/2, State#{stops := Stops + 1}, Arrived);
        false ->
            State
    end;
handle({'EXIT', Pid, Reason}, _) when is_pid(Pid) ->
    exit(Reason);
handle(Message, #{session := Session} = State) ->
    Session ! {carried, Message},
    State.

%% ------------------------------------------------------------------
%% The hold

-spec hold_still(Number :: pos_integer(), pos_integer(), unchanged(),
                 rabbit_hot_backup_carrier:carrier()) -> {held(), Arrived :: [term()]}.
hold_still(Number, MaxPause, Unchanged, Carrier) ->
    Stopped = rabbit_hot_backup_carrier:prepare({notice, stopped, #{stop => Number}}, Carrier),
    %% Or it comes when everybody waits for it.
    true = erlang:garbage_collect(),
    Priority = process_flag(priority, max),
    Started = now_us(),
    {{Outcome, Instant, Held, Ended, Arrived}, Unblocked} =
        case block(Started + MaxPause) of
            {ok, Blocker} ->
                %% Should this fail, the blocker ends with us.
                Ending = held(Started + MaxPause, {Number, Stopped}, Unchanged, Carrier),
                unblock(Blocker, Ending);
            {error, Reason} ->
                Now = now_us(),
                {{Reason, os:system_time(microsecond), Now, Now, []}, Now}
        end,
    _ = process_flag(priority, Priority),
    {#{outcome => Outcome, instant => Instant, acquisition_us => Held - Started,
       hold_us => Ended - Held, pause_us => Unblocked - Started},
     lists:reverse(Arrived)}.

-spec block(Deadline :: integer()) -> {ok, {pid(), reference()}} | {error, late | refused}.
%% Nothing is held while this waits: the last to stop is the scheduler that the blocker runs on, and
%% next after the blocker comes this process.
block(Deadline) ->
    Holder = self(),
    {Blocker, Monitor} = spawn_opt(fun() -> blocker(Holder) end,
                                   [link, monitor, {priority, max}]),
    receive
        {blocked, Blocker} -> {ok, {Blocker, Monitor}};
        {busy, Blocker} -> gone(Blocker, Monitor), {error, refused}
    after max(0, (Deadline - now_us()) div 1000) ->
            exit(Blocker, kill),
            gone(Blocker, Monitor),
            {error, late}
    end.

-spec gone(pid(), reference()) -> ok.
%% Waits for the blocker's end, and leaves nothing of it behind.
gone(Blocker, Monitor) ->
    receive {'DOWN', Monitor, process, Blocker, _} -> ok end,
    unlink(Blocker),
    receive {'EXIT', Blocker, _} -> ok after 0 -> ok end,
    receive {blocked, Blocker} -> ok after 0 -> ok end.

-spec blocker(Holder :: pid()) -> ok.
blocker(Holder) ->
    try register(?BLOCKER, self()) of
        true ->
            _ = erlang:system_flag(multi_scheduling, block),
            Holder ! {blocked, self()},
            receive {unblock, Holder} -> ok end,
            _ = erlang:system_flag(multi_scheduling, unblock),
            %% Here the node goes on. When the holder gets its turn is no part of the pause.
            Holder ! {unblocked, self(), now_us()},
            ok
    catch
        error:badarg ->
            Holder ! {busy, self()},
            ok
    end.

-spec unblock({pid(), reference()}, ending()) -> {ending(), Unblocked :: integer()}.
%% A blocker that did not live to be told had let go before.
unblock({Blocker, Monitor}, {Outcome, Instant, Held, Ended, Arrived}) ->
    Blocker ! {unblock, self()},
    receive
        {unblocked, Blocker, Unblocked} ->
            gone(Blocker, Monitor),
            {{Outcome, Instant, Held, Ended, Arrived}, Unblocked};
        {'DOWN', Monitor, process, Blocker, _} ->
            {{refused, Instant, Held, Ended, Arrived}, now_us()}
    end.

-spec held(Deadline :: integer(), {pos_integer(), rabbit_hot_backup_carrier:prepared()},
           unchanged(), rabbit_hot_backup_carrier:carrier()) -> ending().
held(Deadline, {Number, Stopped}, Unchanged, Carrier) ->
    Held = now_us(),
    Instant = os:system_time(microsecond),
    {Verdict, Arrived} = case Held < Deadline
                             andalso rabbit_hot_backup_carrier:send_at_once(Stopped, Carrier) of
                             true -> spin({Deadline, Number}, Carrier, [], 0);
                             false -> {late, []}
                         end,
    Outcome = case Verdict of
                  captured ->
                      case Unchanged() of
                          true -> held;
                          false -> committed
                      end;
                  Other -> Other
              end,
    {Outcome, Instant, Held, now_us(), Arrived}.

-spec spin({Deadline :: integer(), Number :: pos_integer()},
           rabbit_hot_backup_carrier:carrier(), [term()], non_neg_integer()) ->
          {verdict(), Arrived :: [term()]}.
spin({Deadline, _} = Hold, Carrier, Arrived, Count) ->
    case now_us() < Deadline of
        true ->
            receive
                Message -> arrived(Message, Hold, Carrier, Arrived, Count + 1)
            after 0 ->
                    %% The port is served between the turns of processes.
                    erlang:yield(),
                    spin(Hold, Carrier, Arrived, Count)
            end;
        false ->
            {late, Arrived}
    end.

-spec arrived(term(), {integer(), pos_integer()}, rabbit_hot_backup_carrier:carrier(), [term()],
              pos_integer()) -> {verdict(), Arrived :: [term()]}.
%% The carrier is this process's own view of it: between the request `stop` and `captured` the
%% engine is silent, so the first byte that comes begins a message. The session's view goes on from
%% where it was, with the same bytes.
arrived({hold, Caller, Reference, _, _}, Hold, Carrier, Arrived, Count) ->
    Caller ! {held, Reference, not_held(refused)},
    spin(Hold, Carrier, Arrived, Count);
arrived(Message, _, _, Arrived, ?MOST_ARRIVED) ->
    {refused, [Message | Arrived]};
arrived({'EXIT', Pid, _} = Message, _, _, Arrived, _) when is_pid(Pid) ->
    {refused, [Message | Arrived]};
arrived(Message, {_, Number} = Hold, Carrier, Others, Count) ->
    Arrived = [Message | Others],
    case rabbit_hot_backup_carrier:received(Message, Carrier) of
        {messages, Messages, Next} ->
            case [Details || {notice, captured, Details} <- Messages] of
                [] -> spin(Hold, Next, Arrived, Count);
                [#{stop := Number, outcome := ok} | _] -> {captured, Arrived};
                _ -> {refused, Arrived}
            end;
        ignored ->
            spin(Hold, Carrier, Arrived, Count);
        _ ->
            %% The engine is gone, or sends what is no message: the session will say so.
            {refused, Arrived}
    end.

-spec now_us() -> integer().
now_us() ->
    erlang:monotonic_time(microsecond).

%% Holds the whole VM still for some milliseconds: docs/protocol.md, "The stop".
%%
%% Each session has one holder, the process that the engine's messages arrive at: it owns the
%% carrier and hands everything that comes on to the session, in order, as `{carried, Message}`.
%% It exists because in the hold no other process of the broker runs, so whoever holds must hear the
%% engine by itself.
%%
%% Several nodes can stand still together: by appointment, each begins at the same moment without
%% being told, says so to the holders of the others, and waits, for a while, until they have said
%% so too. See rabbit_hot_backup_overlap for what that proves. What passes between nodes in the hold
%% only makes it shorter.
%%
%% What must be so in the hold:
%% - Nothing waits. A process that waits lets others run, and what is captured then is not of one
%%   instant: no call, no log, no `receive` without `after 0`, no send that may suspend, no module
%%   that has yet to be loaded.
%% - Whatever happens, it ends by the deadline. Each turn looks at the clock; and when this process
%%   dies, the VM itself takes the block away (rabbit_hot_backup_block).
%% - Nothing that arrives is lost: what is not for the hold is handled afterwards, in its order.
-module(rabbit_hot_backup_holder).

-export([start_link/1, hold/3, not_held/1, log/1]).
-export([init/2]).

-export_type([appointment/0, attempt/0, held/0, unchanged/0]).

-type appointment() :: #{max_pause := pos_integer(),
                         at => rabbit_hot_backup_overlap:moment(),
                         window => non_neg_integer(),
                         peers => [pid()],
                         attempt => attempt()}.
%% `max_pause`: for how many microseconds the VM may be held at the most. All others are there or
%% none: `at` is when to begin; until `window` microseconds later the `peers`, the holders of other
%% nodes, are waited for. Without them this node stops alone, and now.

-type attempt() :: {ClusterBackup :: binary(), pos_integer()}.
%% What is said of another attempt means nothing.

-type held() :: #{outcome := held | committed | late | refused | apart,
                  instant := integer(),
                  acquisition_us := non_neg_integer(),
                  hold_us := non_neg_integer(),
                  pause_us := non_neg_integer(),
                  store_us => non_neg_integer(),
                  began => rabbit_hot_backup_overlap:moment(),
                  ended => rabbit_hot_backup_overlap:moment(),
                  heard => [node()]}.
%% The result of `stop`. `apart`: of several nodes, that they were not held together. `store_us`: how
%% long nobody could change metadata, where it is in Khepri.
%% The last three are of an appointment, if the node stood still for it.

-type unchanged() :: fun(() -> boolean()).
%% Whether no metadata was committed. It is called in the hold and so must not wait for anything:
%% rabbit_hot_backup_baseline.

-type outcome() :: held | committed | late | refused.

%% The hold as it goes on.
-record(hold, {number :: pos_integer(),
               deadline :: rabbit_hot_backup_overlap:moment(),
               %% Until then peers are waited for.
               patience :: rabbit_hot_backup_overlap:moment(),
               attempt :: attempt() | none,
               missing :: [node()],
               heard = [] :: [node()],
               unchanged :: unchanged(),
               %% This process's own view of it: between the request `stop` and `captured` the
               %% engine is silent, so the first byte that comes begins a message. The session's
               %% view goes on from where it was, with the same bytes.
               carrier :: rabbit_hot_backup_carrier:carrier(),
               captured = false :: boolean(),
               schedulers :: pos_integer(),
               %% Until the next nap.
               turns = 0 :: non_neg_integer(),
               %% The moments to poke at that are still to come.
               pokes = [] :: [rabbit_hot_backup_overlap:moment()],
               %% What is not for the hold, newest first.
               arrived = [] :: [term()],
               count = 0 :: non_neg_integer()}).

%% An engine that sends this many messages in the hold does not keep to the protocol.
-define(MOST_ARRIVED, 64).

%% Microseconds. A timer may be late by a millisecond or two, so the rest of the time until an
%% appointment goes by awake.
-define(AWAKE, 2000).

%% Whoever has not been heard after a millisecond may be waiting in a queue, and a few more times.
-define(POKE_EVERY, 1000).
-define(POKES, 10).

%% How long a nap is, and how many turns it comes after: what is on its way through the VM takes some.
-define(NAP, 50).
-define(TURNS, 4).
%% The last of an appointment's time goes by without one.
-define(NEAR, 300).

-spec start_link(rabbit_hot_backup_carrier:target()) ->
          {ok, pid(), rabbit_hot_backup_carrier:carrier()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Opens the carrier for the calling session. Linked to it: they end together.
start_link(Target) ->
    proc_lib:start_link(?MODULE, init, [self(), Target]).

-spec hold(Holder :: pid(), appointment(), unchanged()) ->
          {ok, held()} | {error, rabbit_hot_backup_protocol:error()}.
%% Holds the VM until the engine has said that it is done and the peers have been heard or waited
%% for. A caller that is gone when its turn comes gets no hold.
hold(Holder, Appointment, Unchanged) ->
    Monitor = erlang:monitor(process, Holder),
    Holder ! {hold, self(), Monitor, Appointment, Unchanged},
    receive
        {held, Monitor, Held} ->
            erlang:demonitor(Monitor, [flush]),
            {ok, Held};
        {'DOWN', Monitor, process, _, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the process that holds the node still ended: ~tp", [Reason])}
    end.

-spec not_held(committed | late | refused | apart) -> held().
%% The result of a stop that was over before it began.
not_held(Outcome) ->
    #{outcome => Outcome, instant => os:system_time(microsecond), acquisition_us => 0,
      hold_us => 0, pause_us => 0}.

-spec log(held()) -> ok.
%% Says in the broker's log how long it was paused.
log(#{outcome := Outcome, pause_us := Pause, acquisition_us := Acquisition,
      hold_us := Hold} = Held) ->
    Store = case Held of
                #{store_us := Time} ->
                    io_lib:format("; changes of metadata waited for ~.1f ms", [Time / 1000]);
                _ -> ""
            end,
    rabbit_hot_backup_compat:log(
      info, "paused for ~.1f ms (acquisition ~.1f, hold ~.1f): ~ts~ts",
      [Pause / 1000, Acquisition / 1000, Hold / 1000, Outcome, Store]).

-spec init(Session :: pid(), rabbit_hot_backup_carrier:target()) -> no_return().
init(Session, Target) ->
    process_flag(trap_exit, true),
    %% Whoever first calls a module waits until it is loaded. That must not be in the hold.
    ok = code:ensure_modules_loaded([rabbit_hot_backup_block, rabbit_hot_backup_carrier,
                                     rabbit_hot_backup_nap, rabbit_hot_backup_overlap,
                                     rabbit_hot_backup_protocol, rabbit_hot_backup_term]),
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
handle({hold, Caller, Reference, Appointment, Unchanged}, State) ->
    case await(Appointment, Caller, State) of
        {true, #{carrier := Carrier, stops := Stops} = Next} ->
            {Held, Arrived} = hold_still(Stops + 1, Appointment, Unchanged, Carrier),
            Caller ! {held, Reference, Held},
            lists:foldl(fun handle/2, Next#{stops := Stops + 1}, Arrived);
        {false, Next} ->
            Next
    end;
handle({stopped, _, _}, State) ->
    %% Of a hold that is over, or that is not for this node.
    State;
handle({'EXIT', Pid, Reason}, _) when is_pid(Pid) ->
    exit(Reason);
handle(Message, #{session := Session} = State) ->
    Session ! {carried, Message},
    State.

%% ------------------------------------------------------------------
%% The appointment

-spec await(appointment(), Caller :: pid(), state()) -> {IsWanted :: boolean(), state()}.
%% Until it is almost time. What comes meanwhile is handled, but for what is for the hold.
await(#{at := At}, Caller, State) ->
    %% Or it comes when everybody waits for it.
    true = erlang:garbage_collect(),
    Monitor = erlang:monitor(process, Caller),
    Awaited = await_until(At - ?AWAKE, Monitor, State),
    erlang:demonitor(Monitor, [flush]),
    Awaited;
await(#{}, Caller, State) ->
    true = erlang:garbage_collect(),
    {is_process_alive(Caller), State}.

-spec await_until(rabbit_hot_backup_overlap:moment(), reference(), state()) ->
          {boolean(), state()}.
await_until(Moment, Monitor, State) ->
    receive
        {'DOWN', Monitor, process, _, _} ->
            {false, State};
        Message when not is_tuple(Message);
                     element(1, Message) =/= hold, element(1, Message) =/= stopped ->
            await_until(Moment, Monitor, handle(Message, State))
    after max(0, (Moment - now_us()) div 1000) ->
            {true, State}
    end.

-spec begin_at(appointment()) -> {ok, Now :: rabbit_hot_backup_overlap:moment()} | late.
begin_at(#{at := At, window := Window} = Appointment) ->
    case now_us() of
        Early when Early < At - ?NEAR ->
            _ = rabbit_hot_backup_nap:nap(?NAP),
            begin_at(Appointment);
        Early when Early < At -> begin_at(Appointment);
        Now when Now < At + Window -> {ok, Now};
        _ -> late
    end;
begin_at(#{}) ->
    {ok, now_us()}.

%% ------------------------------------------------------------------
%% The hold

-spec hold_still(Number :: pos_integer(), appointment(), unchanged(),
                 rabbit_hot_backup_carrier:carrier()) -> {held(), Arrived :: [term()]}.
hold_still(Number, #{max_pause := MaxPause} = Appointment, Unchanged, Carrier) ->
    Stopped = rabbit_hot_backup_carrier:prepare({notice, stopped, #{stop => Number}}, Carrier),
    Peers = maps:get(peers, Appointment, []),
    Hold = #hold{number = Number, deadline = 0, patience = 0,
                 attempt = maps:get(attempt, Appointment, none),
                 missing = [node(Peer) || Peer <- Peers],
                 unchanged = Unchanged, carrier = Carrier,
                 schedulers = erlang:system_info(schedulers_online)},
    Priority = process_flag(priority, max),
    Ended = case begin_at(Appointment) of
                {ok, Started} ->
                    Since = maps:get(at, Appointment, Started),
                    Deadline = Since + MaxPause,
                    Patience = min(Deadline, Since + maps:get(window, Appointment, 0)),
                    hold_from(Started, {Peers, Stopped},
                              Hold#hold{deadline = Deadline, patience = Patience});
                late ->
                    {not_held(late), []}
            end,
    _ = process_flag(priority, Priority),
    Ended.

-spec hold_from(rabbit_hot_backup_overlap:moment(),
                {Peers :: [pid()], rabbit_hot_backup_carrier:prepared()}, #hold{}) ->
          {held(), Arrived :: [term()]}.
hold_from(Started, Tell, #hold{deadline = Deadline} = Hold) ->
    case rabbit_hot_backup_block:acquire(Deadline) of
        {ok, Block} ->
            Began = now_us(),
            Instant = os:system_time(microsecond),
            %% Should this fail, the block ends with us.
            {Outcome, #hold{arrived = Arrived} = Last} = held(Began, Tell, Hold),
            Ended = now_us(),
            {Judged, Unblocked} = case rabbit_hot_backup_block:release(Block) of
                                      {ok, Time} -> {Outcome, Time};
                                      {error, gone} -> {refused, now_us()}
                                  end,
            Held = #{outcome => Judged, instant => Instant, acquisition_us => Began - Started,
                     hold_us => Ended - Began, pause_us => Unblocked - Started},
            {maps:merge(Held, stood(Began, Ended, Last)), lists:reverse(Arrived)};
        {error, Reason} ->
            Time = now_us() - Started,
            {(not_held(Reason))#{acquisition_us => Time, pause_us => Time}, []}
    end.

-spec stood(rabbit_hot_backup_overlap:moment(), rabbit_hot_backup_overlap:moment(), #hold{}) ->
          map().
stood(_, _, #hold{attempt = none}) ->
    #{};
stood(Began, Ended, #hold{heard = Heard}) ->
    #{began => Began, ended => Ended, heard => Heard}.

-spec held(rabbit_hot_backup_overlap:moment(),
           {Peers :: [pid()], rabbit_hot_backup_carrier:prepared()}, #hold{}) ->
          {outcome(), #hold{}}.
%% Others, too, wait to be told: they come first.
held(Began, _, #hold{deadline = Deadline} = Hold) when Began >= Deadline ->
    {late, Hold};
held(Began, {Peers, Stopped}, #hold{attempt = Attempt, carrier = Carrier} = Hold) ->
    lists:foreach(fun(Peer) ->
                          erlang:send(Peer, {stopped, Attempt, node()}, [nosuspend, noconnect])
                  end, Peers),
    case rabbit_hot_backup_carrier:send_at_once(Stopped, Carrier) of
        true -> spin(Hold#hold{pokes = [Began + N * ?POKE_EVERY || N <- lists:seq(1, ?POKES)]});
        false -> {late, Hold}
    end.

-spec spin(#hold{}) -> {outcome(), #hold{}}.
spin(#hold{deadline = Deadline, patience = Patience, captured = Captured,
           missing = Missing} = Hold) ->
    Now = now_us(),
    if
        Captured, Missing =:= []; Captured, Now >= Patience ->
            {held, Hold};
        Now >= Deadline ->
            {late, Hold};
        true ->
            receive
                Message -> arrived(Message, Hold)
            after 0 ->
                    %% The port is served between the turns of processes.
                    erlang:yield(),
                    spin(rest(poke(Now, Hold)))
            end
    end.

-spec rest(#hold{}) -> #hold{}.
rest(#hold{turns = ?TURNS} = Hold) ->
    _ = rabbit_hot_backup_nap:nap(?NAP),
    Hold#hold{turns = 0};
rest(#hold{turns = Turns} = Hold) ->
    Hold#hold{turns = Turns + 1}.

-spec poke(rabbit_hot_backup_overlap:moment(), #hold{}) -> #hold{}.
poke(Now, #hold{pokes = [Next | Others], schedulers = Schedulers} = Hold) when Now >= Next ->
    ok = rabbit_hot_backup_block:poke(Schedulers),
    Hold#hold{pokes = Others};
poke(_, Hold) ->
    Hold.

-spec arrived(term(), #hold{}) -> {outcome(), #hold{}}.
arrived({stopped, Attempt, Node}, #hold{attempt = Attempt, missing = Missing,
                                        heard = Heard} = Hold) ->
    case lists:member(Node, Missing) of
        true -> spin(Hold#hold{missing = lists:delete(Node, Missing), heard = [Node | Heard]});
        false -> spin(Hold)
    end;
arrived({stopped, _, _}, Hold) ->
    spin(Hold);
arrived({hold, Caller, Reference, _, _}, Hold) ->
    Caller ! {held, Reference, not_held(refused)},
    spin(Hold);
arrived(Message, #hold{arrived = Others, count = Count} = Hold) ->
    judge(Message, Hold#hold{arrived = [Message | Others], count = Count + 1}).

-spec judge(term(), #hold{}) -> {outcome(), #hold{}}.
judge(_, #hold{count = Count} = Hold) when Count >= ?MOST_ARRIVED ->
    {refused, Hold};
judge({'EXIT', Pid, _}, Hold) when is_pid(Pid) ->
    {refused, Hold};
judge(Message, #hold{carrier = Carrier, number = Number} = Hold) ->
    case rabbit_hot_backup_carrier:received(Message, Carrier) of
        {messages, Messages, Next} ->
            case [Details || {notice, captured, Details} <- Messages] of
                [] -> spin(Hold#hold{carrier = Next});
                [#{stop := Number, outcome := ok} | _] -> captured(Hold#hold{carrier = Next});
                _ -> {refused, Hold}
            end;
        ignored ->
            spin(Hold);
        _ ->
            %% The engine is gone, or sends what is no message: the session will say so.
            {refused, Hold}
    end.

-spec captured(#hold{}) -> {outcome(), #hold{}}.
%% Nobody needs to wait for others with what is of no use.
captured(#hold{unchanged = Unchanged} = Hold) ->
    case Unchanged() of
        true -> spin(Hold#hold{captured = true});
        false -> {committed, Hold}
    end.

-spec now_us() -> rabbit_hot_backup_overlap:moment().
now_us() ->
    rabbit_hot_backup_overlap:now_us().

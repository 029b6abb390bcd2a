%% Holds the whole VM still for some milliseconds: docs/protocol.md, "The stop".
%%
%% Each session has one holder, the process that the engine's messages arrive at: it owns the
%% carrier and hands everything that comes on to the session, in order, as `{carried, Message}`.
%% It exists because in the hold no other process runs, so whoever holds must hear the engine by
%% itself.
%%
%% What must be so in the hold:
%% - Nothing waits. A process that waits lets others run, and what is captured then is not of one
%%   instant: no call, no log, no `receive` without `after 0`, no send that may suspend.
%% - Whatever happens, it ends by the deadline. Each turn looks at the clock; and when this process
%%   dies, the VM itself takes the block away.
%% - Nothing that arrives is lost: what is not for the hold is handled afterwards, in its order.
-module(rabbit_hot_backup_holder).

-export([start_link/1, hold/3, not_held/1]).
-export([init/2]).

-export_type([held/0, unchanged/0]).

-type held() :: #{outcome := held | committed | late | refused,
                  instant := integer(),
                  acquisition_us := non_neg_integer(),
                  hold_us := non_neg_integer(),
                  pause_us := non_neg_integer()}.
%% The result of `stop`.

-type unchanged() :: fun(() -> boolean()).
%% Whether no metadata was committed. It is called in the hold and so must not wait for anything:
%% rabbit_hot_backup_baseline.

-type verdict() :: captured | late | refused.

-type ending() :: {Outcome :: held | committed | late | refused,
                   Instant :: integer(), Held :: integer(), Ended :: integer(),
                   Arrived :: [term()]}.  % newest first

%% An engine that sends this many messages in the hold does not keep to the protocol.
-define(MOST_ARRIVED, 64).

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

-spec not_held(committed) -> held().
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
            loop(Session, Carrier);
        {error, Error} ->
            proc_lib:init_ack({error, Error}),
            exit(normal)
    end.

-spec loop(pid(), rabbit_hot_backup_carrier:carrier()) -> no_return().
loop(Session, Carrier) ->
    receive
        Message -> handle(Message, Session, Carrier)
    end,
    loop(Session, Carrier).

-spec handle(term(), pid(), rabbit_hot_backup_carrier:carrier()) -> ok.
handle({hold, Caller, Reference, MaxPause, Unchanged}, Session, Carrier) ->
    case is_process_alive(Caller) of
        true ->
            {Held, Arrived} = hold_still(MaxPause, Unchanged, Carrier),
            Caller ! {held, Reference, Held},
            lists:foreach(fun(Message) -> handle(Message, Session, Carrier) end, Arrived);
        false ->
            ok
    end;
handle({'EXIT', Pid, Reason}, _, _) when is_pid(Pid) ->
    exit(Reason);
handle(Message, Session, _) ->
    Session ! {carried, Message},
    ok.

%% ------------------------------------------------------------------
%% The hold

-spec hold_still(pos_integer(), unchanged(), rabbit_hot_backup_carrier:carrier()) ->
          {held(), Arrived :: [term()]}.
hold_still(MaxPause, Unchanged, Carrier) ->
    Stopped = rabbit_hot_backup_carrier:prepare({notice, stopped, #{}}, Carrier),
    %% Or it comes when everybody waits for it.
    true = erlang:garbage_collect(),
    Priority = process_flag(priority, max),
    Started = now_us(),
    {Outcome, Instant, Held, Ended, Arrived} =
        try
            _ = erlang:system_flag(multi_scheduling, block),
            held(Started + MaxPause, Stopped, Unchanged, Carrier)
        after
            _ = erlang:system_flag(multi_scheduling, unblock)
        end,
    Unblocked = now_us(),
    _ = process_flag(priority, Priority),
    {#{outcome => Outcome, instant => Instant, acquisition_us => Held - Started,
       hold_us => Ended - Held, pause_us => Unblocked - Started},
     lists:reverse(Arrived)}.

-spec held(Deadline :: integer(), rabbit_hot_backup_carrier:prepared(), unchanged(),
           rabbit_hot_backup_carrier:carrier()) -> ending().
%% To stop the schedulers may have taken too long: it waits for what dirty schedulers are doing.
held(Deadline, Stopped, Unchanged, Carrier) ->
    Held = now_us(),
    Instant = os:system_time(microsecond),
    {Verdict, Arrived} = case Held < Deadline
                             andalso rabbit_hot_backup_carrier:send_at_once(Stopped, Carrier) of
                             true -> spin(Deadline, Carrier, [], 0);
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

-spec spin(integer(), rabbit_hot_backup_carrier:carrier(), [term()], non_neg_integer()) ->
          {verdict(), Arrived :: [term()]}.
spin(Deadline, Carrier, Arrived, Count) ->
    case now_us() < Deadline of
        true ->
            receive
                Message -> arrived(Message, Deadline, Carrier, [Message | Arrived], Count + 1)
            after 0 ->
                    %% The port is served between the turns of processes.
                    erlang:yield(),
                    spin(Deadline, Carrier, Arrived, Count)
            end;
        false ->
            {late, Arrived}
    end.

-spec arrived(term(), integer(), rabbit_hot_backup_carrier:carrier(), [term()],
              pos_integer()) -> {verdict(), Arrived :: [term()]}.
%% The carrier is this process's own view of it: between the request `stop` and `captured` the
%% engine is silent, so the first byte that comes begins a message. The session's view goes on from
%% where it was, with the same bytes.
arrived(_, _, _, Arrived, ?MOST_ARRIVED) ->
    {refused, Arrived};
arrived({hold, _, _, _, _}, Deadline, Carrier, Arrived, Count) ->
    spin(Deadline, Carrier, Arrived, Count);
arrived({'EXIT', Pid, _}, _, _, Arrived, _) when is_pid(Pid) ->
    {refused, Arrived};
arrived(Message, Deadline, Carrier, Arrived, Count) ->
    case rabbit_hot_backup_carrier:received(Message, Carrier) of
        {messages, Messages, Next} ->
            case [maps:get(outcome, Details, failed) || {notice, captured, Details} <- Messages] of
                [] -> spin(Deadline, Next, Arrived, Count);
                [ok | _] -> {captured, Arrived};
                _ -> {refused, Arrived}
            end;
        ignored ->
            spin(Deadline, Carrier, Arrived, Count);
        _ ->
            %% The engine is gone, or sends what is no message: the session will say so.
            {refused, Arrived}
    end.

-spec now_us() -> integer().
now_us() ->
    erlang:monotonic_time(microsecond).

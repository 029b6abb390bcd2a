%% Keeps Khepri's store as it is around a stop of the node, and then takes what it holds.
%%
%% The store is a state and a log. The files that are captured in the stop have the log, and what a
%% node makes of them is the state after its last entry. So that must be the state that is exported:
%% 1. A question is put to the store's server that it cannot answer before a gate is opened. From
%%    then on nothing is added to the log, and whoever changes metadata waits.
%% 2. What was added before is waited for until it is in the files: take/2 returns.
%% 3. The node is stopped. Within the stop is_unchanged/1 says whether the log still ends where it
%%    did: then it is all in the image, and nothing else.
%% 4. The gate is opened, and the content is copied. Its index must be that of the log's end.
%% What is looked at in 2 to 4 makes it exact, whatever became of the lock. The lock makes it
%% succeed, also where metadata is changed all the time.
%%
%% Where the log has entries that are not in the state yet (a change waits for the disk, and for the
%% other nodes of a cluster), the state behind the gate is too old. So a second question is put
%% before the gate is opened. By then the server has been told that they are written: it hears this
%% before the second question, and of what comes after the lock nothing can be written by then.
-module(rabbit_hot_backup_store_lock).

-export([take/2, position/1, is_unchanged/1, release/1, export/1]).

-export_type([lock/0]).

-record(lock, {owner :: pid(),
               %% Of the taker, when it is no lock's.
               priority :: priority(),
               gate :: pid(),
               %% The export that waits at the gate.
               waiting :: rabbit_hot_backup_export:export(),
               since :: integer(),
               position :: rabbit_hot_backup_khepri:position()}).

-opaque lock() :: #lock{}.

-type priority() :: low | normal | high | max.

%% The store's server may have other things to do first.
-define(PATIENCE, 5000).
%% Without the time for which the node is held nobody waits longer than that, whatever happens.
-define(LONGEST_HOLD, 1000).
%% What was added to the log has to be in the files in a part of it.
-define(WRITTEN, 500).
%% To copy the content takes about a millisecond for a thousand queues.
-define(COPIED, 30000).

-spec take(Owner :: pid(), MaxPause :: pos_integer()) ->
          {ok, lock()} | busy | {error, rabbit_hot_backup_protocol:error()}.
%% MaxPause, in microseconds, is how long the node may be stopped meanwhile. The lock is gone at the
%% latest when the calling process is, the export when its owner is. `busy`: the log was not written
%% in time.
take(Owner, MaxPause) ->
    %% Others wait for what this process does: it must not wait for its turn.
    Priority = process_flag(priority, high),
    Gate = start_gate(),
    Reference = make_ref(),
    Caller = self(),
    Longest = ?LONGEST_HOLD + MaxPause div 1000,
    Waiting = rabbit_hot_backup_export:start(
                Owner, fun() -> wait_at(Gate, Longest, Caller, Reference) end),
    Taken = case locked(Waiting, Reference) of
                {ok, Since} ->
                    case written() of
                        {ok, Position} ->
                            {ok, #lock{owner = Owner, priority = Priority, gate = Gate,
                                       waiting = Waiting, since = Since, position = Position}};
                        Other -> Other
                    end;
                {error, Reason} -> {error, Reason}
            end,
    case Taken of
        {ok, _} -> Taken;
        _ ->
            ok = rabbit_hot_backup_export:stop(Waiting),
            ok = unlock(Gate, Priority),
            case Taken of
                busy -> busy;
                {error, Cause} -> not_locked(Cause)
            end
    end.

-spec position(lock()) -> rabbit_hot_backup_khepri:position().
%% Where the log ends.
position(#lock{position = Position}) ->
    Position.

-spec is_unchanged(lock()) -> boolean().
%% Called while the whole node is held, so it reads counters only.
is_unchanged(#lock{position = #{last := Last, term := Term}}) ->
    case rabbit_hot_backup_khepri:position() of
        {ok, #{last := Last, term := Term}} -> true;
        _ -> false
    end.

-spec release(lock()) -> ok.
%% Nobody waits any more, and nothing is exported.
release(#lock{gate = Gate, priority = Priority}) ->
    unlock(Gate, Priority).

-spec export(lock()) ->
          {ok, rabbit_hot_backup_export:export(), Held :: non_neg_integer()} | {error, term()}.
%% Releases the lock. How long nobody could change metadata, in microseconds; an error when the
%% state that was to be had is not that of the log's end.
export(#lock{gate = Gate, waiting = Waiting, since = Since, owner = Owner,
             priority = Priority, position = #{last := Last, applied := Applied}}) ->
    Export = case Applied of
                 Last ->
                     open(Gate, export),
                     Waiting;
                 _ ->
                     Second = rabbit_hot_backup_export:start(Owner, fun() -> true end),
                     _ = await(fun() -> rabbit_hot_backup_export:has_asked(Second) end),
                     open(Gate, closed),
                     Second
             end,
    Exported = rabbit_hot_backup_export:await(Export, ?COPIED),
    Held = now_us() - Since,
    _ = process_flag(priority, Priority),
    case Exported of
        {ok, Last} ->
            {ok, Export, Held};
        Other ->
            ok = rabbit_hot_backup_export:stop(Export),
            {error, Other}
    end.

-spec not_locked(term()) -> {error, rabbit_hot_backup_protocol:error()}.
not_locked(Reason) ->
    {error, rabbit_hot_backup_protocol:error(
              failed, "the metadata store did not answer: ~tp", [Reason],
              "Check that the node is running, and a member of its cluster: "
              "rabbitmqctl cluster_status.")}.

-spec locked(rabbit_hot_backup_export:export(), reference()) ->
          {ok, Since :: integer()} | {error, term()}.
locked(Waiting, Reference) ->
    Monitor = erlang:monitor(process, Waiting),
    Locked = receive
                 {locked, Reference, Since} -> {ok, Since};
                 {'DOWN', Monitor, process, _, Reason} -> {error, Reason}
             after ?PATIENCE ->
                     {error, timeout}
             end,
    erlang:demonitor(Monitor, [flush]),
    Locked.

-spec written() -> {ok, rabbit_hot_backup_khepri:position()} | busy | {error, term()}.
%% The position does not move any more, but for what the server is told while it stands still.
written() ->
    case rabbit_hot_backup_khepri:position() of
        {ok, #{last := Last, written := Last} = Position} ->
            {ok, Position};
        {ok, Position} ->
            case await(fun rabbit_hot_backup_khepri:is_log_written/0) of
                true -> {ok, Position};
                false -> busy
            end;
        {error, Reason} ->
            {error, Reason}
    end.

-spec await(fun(() -> boolean())) -> boolean().
await(Condition) ->
    await(Condition, now_us() + 1000 * ?WRITTEN).

-spec await(fun(() -> boolean()), Deadline :: integer()) -> boolean().
%% Without a pause to speak of: others wait meanwhile.
await(Condition, Deadline) ->
    case Condition() of
        true -> true;
        false ->
            case now_us() < Deadline of
                true ->
                    receive after 1 -> await(Condition, Deadline) end;
                false ->
                    false
            end
    end.

%% ------------------------------------------------------------------
%% The gate

%% It is opened by its end, which leaves no message behind with a server that has stopped to wait.

-spec start_gate() -> pid().
start_gate() ->
    Keeper = self(),
    spawn_opt(fun() ->
                      Monitor = erlang:monitor(process, Keeper),
                      receive
                          {open, How} -> exit(How);
                          {'DOWN', Monitor, process, _, _} -> exit(closed)
                      end
              end, [{priority, high}]).

-spec open(Gate :: pid(), export | closed) -> ok.
open(Gate, How) ->
    Gate ! {open, How},
    ok.

-spec unlock(Gate :: pid(), priority()) -> ok.
unlock(Gate, Priority) ->
    ok = open(Gate, closed),
    _ = process_flag(priority, Priority),
    ok.

-spec wait_at(Gate :: pid(), Longest :: pos_integer(), Caller :: pid(), reference()) -> boolean().
%% Inside the store's server. Whether it is to be exported then.
wait_at(Gate, Longest, Caller, Reference) ->
    Monitor = erlang:monitor(process, Gate),
    Caller ! {locked, Reference, now_us()},
    receive
        {'DOWN', Monitor, process, Gate, Reason} -> Reason =:= export
    after Longest ->
            erlang:demonitor(Monitor, [flush]),
            false
    end.

-spec now_us() -> integer().
now_us() ->
    erlang:monotonic_time(microsecond).

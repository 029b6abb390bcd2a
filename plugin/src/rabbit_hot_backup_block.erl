%% Stops all schedulers of the VM but one, the dirty ones too, for the process that asks.
%%
%% The block belongs to a process made for it, the blocker. To stop the schedulers takes as long as
%% the longest operation on a dirty scheduler, and whoever waits for that in the VM can do nothing
%% else; but it can be killed, which gives it up. So the caller keeps the deadline, of the
%% acquisition too; and when the caller dies the blocker dies with it, and then the VM itself takes
%% the block away.
%%
%% The caller runs at the highest priority and traps exits.
-module(rabbit_hot_backup_block).

-export([acquire/1, release/1, poke/1]).

-export_type([block/0]).

-opaque block() :: {Blocker :: pid(), Monitor :: reference()}.

%% Two that block at once would add their pauses up: the blocker has a name, so there is one.
-define(BLOCKER, rabbit_hot_backup_blocker).

-spec acquire(Deadline :: rabbit_hot_backup_overlap:moment()) ->
          {ok, block()} | {error, late | refused}.
%% When this returns a block nothing else runs. `late`: not in time; `refused`: somebody else has
%% it.
%%
%% Nothing is held while this waits: the last to stop is the scheduler that the blocker runs on, and
%% next after the blocker comes this process.
acquire(Deadline) ->
    Holder = self(),
    {Blocker, Monitor} = spawn_opt(fun() -> blocker(Holder) end,
                                   [link, monitor, {priority, max}]),
    receive
        {blocked, Blocker} -> {ok, {Blocker, Monitor}};
        {busy, Blocker} -> gone(Blocker, Monitor), {error, refused}
    after max(0, (Deadline - rabbit_hot_backup_overlap:now_us()) div 1000) ->
            exit(Blocker, kill),
            gone(Blocker, Monitor),
            {error, late}
    end.

-spec release(block()) -> {ok, Unblocked :: rabbit_hot_backup_overlap:moment()} | {error, gone}.
%% `gone`: the blocker did not live to be told, so it had let go before.
release({Blocker, Monitor}) ->
    Blocker ! {unblock, self()},
    receive
        {unblocked, Blocker, Unblocked} ->
            gone(Blocker, Monitor),
            {ok, Unblocked};
        {'DOWN', Monitor, process, Blocker, _} ->
            {error, gone}
    end.

-dialyzer({nowarn_function, poke/1}).
-spec poke(Schedulers :: non_neg_integer()) -> ok.
%% What arrives from another node while the schedulers are being stopped can be left with one that
%% has stopped, for as long as the block lasts. Something new to do for it makes it hand over what
%% it has; it is done afterwards. (Found by trial with OTP 25; the option `scheduler`, which is not
%% documented, does no harm with OTP 23 to 29.)
poke(Schedulers) ->
    lists:foreach(fun(Scheduler) -> spawn_opt(fun() -> ok end, [{scheduler, Scheduler}]) end,
                  lists:seq(1, Schedulers)).

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
            Holder ! {unblocked, self(), rabbit_hot_backup_overlap:now_us()},
            ok
    catch
        error:badarg ->
            Holder ! {busy, self()},
            ok
    end.

%% Keeps the node's metadata as it is for a moment, in Mnesia's own way: a transaction that holds
%% read locks on whole tables, so that those who want to write wait for its end.
%%
%% A backup needs a stop without a commit since its checkpoint, some ten milliseconds before. On a
%% node whose metadata changes all the time there is none, unless the others wait for it. Dirty
%% operations know no locks; they are still counted (rabbit_hot_backup_baseline).
-module(rabbit_hot_backup_table_locks).

-export([take/2, release/1]).

-export_type([locks/0]).

-type locks() :: pid() | none.

%% Whatever happens, nobody waits longer than that for a table.
-define(LONGEST_HOLD, 1000).
%% Writers that were there first finish first.
-define(PATIENCE, 2000).

-spec take([rabbit_hot_backup_metadata:table()], Owner :: pid()) -> locks().
%% None when the tables could not be had in time. Released with the owner's end at the latest.
take(Tables, Owner) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> hold(Tables, Owner, Caller) end),
    receive
        {locked, Pid} ->
            erlang:demonitor(Monitor, [flush]),
            Pid;
        {'DOWN', Monitor, process, Pid, _} ->
            none
    after ?PATIENCE ->
            erlang:demonitor(Monitor, [flush]),
            ok = release(Pid),
            receive {locked, Pid} -> none after 0 -> none end
    end.

-spec release(locks()) -> ok.
%% Also of what is released already.
release(none) ->
    ok;
release(Pid) ->
    %% Mnesia notices the end of a transaction's process, in whichever way it ends.
    exit(Pid, kill),
    ok.

-spec hold([rabbit_hot_backup_metadata:table()], pid(), pid()) -> ok.
%% Mnesia restarts the transaction until it has all locks, with a precedence that grows.
hold(Tables, Owner, Caller) ->
    Monitor = erlang:monitor(process, Owner),
    %% Whoever waits for the locks may be gone before they are there.
    {ok, _} = timer:exit_after(?PATIENCE + ?LONGEST_HOLD, kill),
    {atomic, ok} = mnesia:transaction(
                     fun() ->
                             lists:foreach(fun mnesia:read_lock_table/1, Tables -- [schema]),
                             Caller ! {locked, self()},
                             receive {'DOWN', Monitor, process, Owner, _} -> ok
                             after ?LONGEST_HOLD -> ok end
                     end),
    ok.

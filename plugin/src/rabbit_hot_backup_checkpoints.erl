%% Owns the Mnesia checkpoints of this node's backups.
%%
%% A checkpoint outlives whoever asked for it, and while it is active every writer pays for it. So
%% one process owns them all: it watches the session that each is for, and deactivates it when the
%% session ends in whatever way, when it is asked to, and when the plugin stops. What an earlier
%% life of the plugin (or of the node) left behind is deactivated at the start, on all running
%% nodes. Tables are retained on every node that has them: what another node began is deactivated
%% here when that node is gone or cannot be reached, for nobody there can do it any more.
-module(rabbit_hot_backup_checkpoints).

-behaviour(gen_server).

-export([start_link/0, activate/2, deactivate/1, release/1, active/0, reap/0, readable/1]).
%% The steps of activate/2, where other nodes are waited for in between.
-export([open/2, settle_and_flush/1]).

-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([name/0, activated/0]).

-type name() :: {rabbit_hot_backup, node(), Unique :: {integer(), integer()}}.
%% Names the plugin and the node, so that leftovers are known; unique over restarts of the node too.

-type activated() :: #{name := name(),
                       instant := integer(),
                       activation_us := non_neg_integer(),
                       baseline => rabbit_hot_backup_baseline:baseline()}.
%% `instant` is Unix time in microseconds: whatever was committed before it is in the checkpoint.
%% `baseline` tells whether something was committed since, and is there when activate/2 returns.

-type open() :: {Participants :: [Transaction :: term()],
                 Coordinators :: [{pid(), Store :: ets:tid()}]}.
%% Transactions that this node takes part in, and those it coordinates.

-type state() :: #{Owner :: pid() => {name(), Monitor :: reference()}}.

%% Activation waits for the transactions in flight, on all nodes that have replicas.
-define(ACTIVATION, 60000).
%% How long a node may take to answer when its checkpoints are listed or deactivated.
-define(ANSWER, 10000).
%% How long the plugin may be kept from stopping by what its checkpoints' owner could not end.
-define(REAPING, 20000).
%% How long transactions that were being committed at the activation may take.
-define(SETTLING, 30000).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec activate(Owner :: pid(), [rabbit_hot_backup_metadata:table()]) ->
          {ok, activated()} | {error, rabbit_hot_backup_protocol:error()}.
%% An owner has one checkpoint at a time. It is deactivated at the latest when the owner ends.
%%
%% It may be read as soon as this returns: see settle/1. All of it is in the node's files then.
activate(Owner, Tables) ->
    Commits = rabbit_hot_backup_baseline:commits(),
    case open(Owner, Tables) of
        {ok, Activated} ->
            case settle_and_flush(Commits) of
                {ok, Baseline} -> {ok, Activated#{baseline => Baseline}};
                {error, Error} ->
                    ok = deactivate(Owner),
                    {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec open(Owner :: pid(), [rabbit_hot_backup_metadata:table()]) ->
          {ok, activated()} | {error, rabbit_hot_backup_protocol:error()}.
%% Activates it, on all nodes that have replicas. The commits are to be counted before, on each node
%% whose files are taken, and it may be read when all of them have settled.
open(Owner, Tables) ->
    gen_server:call(?MODULE, {activate, Owner, Tables}, ?ACTIVATION).

-spec settle_and_flush(rabbit_hot_backup_baseline:commits()) ->
          {ok, rabbit_hot_backup_baseline:baseline()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Once more at the end: what was already in the log when it was looked at is counted then.
settle_and_flush(Commits) ->
    case settle(open_transactions()) of
        ok ->
            case rabbit_hot_backup_baseline:flush(Commits) of
                {ok, Baseline} ->
                    case settle(open_transactions()) of
                        ok -> {ok, Baseline};
                        {error, Error} -> {error, Error}
                    end;
                {error, Error} -> {error, Error}
            end;
        {error, Error} -> {error, Error}
    end.

-spec deactivate(Owner :: pid()) -> ok.
%% Also when the owner has none.
deactivate(Owner) ->
    gen_server:call(?MODULE, {deactivate, Owner}, ?ACTIVATION).

-spec release(Owner :: pid()) -> ok.
%% As deactivate/1, without waiting. Everything asked before is done before.
release(Owner) ->
    gen_server:cast(?MODULE, {deactivate, Owner}).

-spec readable(name()) -> binary().
readable({Plugin, Node, {Time, _}}) ->
    iolist_to_binary(io_lib:format("~ts ~ts ~b", [Plugin, Node, Time])).

-spec active() -> [name()].
active() ->
    gen_server:call(?MODULE, active, ?ACTIVATION).

-spec reap() -> ok.
%% Deactivates what is left when the owner of checkpoints is gone. A supervisor kills an owner
%% that hangs in a call to another node, and then nobody else does it.
reap() ->
    {Pid, Monitor} = spawn_monitor(fun deactivate_stale/0),
    receive {'DOWN', Monitor, process, _, _} -> ok
    after ?REAPING ->
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, _, _} -> ok end
    end.

-spec init([]) -> {ok, state(), {continue, reap}}.
init([]) ->
    process_flag(trap_exit, true),
    ok = net_kernel:monitor_nodes(true),
    {ok, #{}, {continue, reap}}.

-spec handle_continue(reap, state()) -> {noreply, state()}.
handle_continue(reap, State) ->
    deactivate_stale(),
    {noreply, State}.

-spec handle_call(term(), gen_server:from(), state()) -> {reply, term(), state()}.
handle_call({activate, Owner, _}, _, State) when is_map_key(Owner, State) ->
    Error = rabbit_hot_backup_protocol:error(
              busy, "this session has a checkpoint already", [],
              "End it before another one is begun."),
    {reply, {error, Error}, State};
handle_call({activate, Owner, Tables}, _, State) ->
    case activate_now(Tables) of
        {ok, #{name := Name} = Activated} ->
            %% If the owner is gone by now the monitor fires at once.
            {reply, {ok, Activated}, State#{Owner => {Name, erlang:monitor(process, Owner)}}};
        {error, Error} ->
            {reply, {error, Error}, State}
    end;
handle_call({deactivate, Owner}, _, State) ->
    {reply, ok, remove(Owner, State)};
handle_call(active, _, State) ->
    {reply, [Name || {Name, _} <- maps:values(State)], State}.

-spec handle_cast({deactivate, pid()}, state()) -> {noreply, state()}.
handle_cast({deactivate, Owner}, State) ->
    {noreply, remove(Owner, State)}.

-spec handle_info(term(), state()) -> {noreply, state()}.
handle_info({'DOWN', _, process, Owner, _}, State) ->
    {noreply, remove(Owner, State)};
handle_info({nodedown, Node}, State) ->
    ok = orphaned(Node),
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), state()) -> ok.
terminate(_, State) ->
    lists:foreach(fun({Name, _}) -> deactivate_everywhere(Name) end, maps:values(State)).

-spec remove(pid(), state()) -> state().
remove(Owner, State) ->
    case maps:take(Owner, State) of
        {{Name, Monitor}, Others} ->
            erlang:demonitor(Monitor, [flush]),
            deactivate_everywhere(Name),
            Others;
        error ->
            State
    end.

-spec activate_now([rabbit_hot_backup_metadata:table()]) ->
          {ok, activated()} | {error, rabbit_hot_backup_protocol:error()}.
activate_now(Tables) ->
    Name = {rabbit_hot_backup, node(), {os:system_time(), erlang:unique_integer()}},
    Instant = os:system_time(microsecond),
    Start = erlang:monotonic_time(microsecond),
    %% `max`: every replica of a table gets a retainer, so the checkpoint outlives another node's
    %% end. A table that is in memory only is read from there: the dump that Mnesia would take
    %% instead is old or, on a RAM node, does not exist.
    Arguments = [{name, Name}, {max, Tables}, {ram_overrides_dump, true}],
    try mnesia:activate_checkpoint(Arguments) of
        {ok, Name, _Nodes} ->
            Duration = erlang:monotonic_time(microsecond) - Start,
            {ok, #{name => Name, instant => Instant, activation_us => Duration}};
        {error, Reason} ->
            not_activated(Name, Reason)
    catch
        exit:Reason ->
            not_activated(Name, Reason)
    end.

-spec not_activated(name(), term()) -> {error, rabbit_hot_backup_protocol:error()}.
%% Some of the nodes may have activated it.
not_activated(Name, Reason) ->
    deactivate_everywhere(Name),
    {error, rabbit_hot_backup_protocol:error(
              failed, "Mnesia could not activate a checkpoint: ~tp", [Reason],
              "Check that the node is running and that all nodes of its cluster answer.")}.

%% ------------------------------------------------------------------
%% Transactions in flight

%% A transaction that is being committed during the activation belongs to the checkpoint, as a
%% whole: what it overwrites is not retained. But Mnesia (looked at in OTP 25) waits for such
%% transactions only if another node coordinates them. A local one may still have to write its
%% records when the checkpoint is active; a reader that has passed one of its tables by then, and
%% not the other, sees half of it. So the checkpoint is not given away before all transactions
%% that were being committed at its activation are over. Those that begin to commit later are
%% retained as a whole and need not be waited for.
-spec settle(open()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
settle(Open) ->
    settle(committing(Open), 1, erlang:monotonic_time(millisecond) + ?SETTLING).

-spec settle(open(), pos_integer(), integer()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
settle({[], []}, _, _) ->
    ok;
settle(Open, Pause, Deadline) ->
    case erlang:monotonic_time(millisecond) < Deadline of
        true ->
            receive after Pause -> ok end,
            settle(committing(still(Open)), min(2 * Pause, 50), Deadline);
        false ->
            settled(Open)
    end.

-spec settled(open()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
%% What computes in its fun all the time is not being committed.
settled({Participants, Coordinators}) ->
    Committing = [Store || {_, Store} <- Coordinators, judge(Store) =:= committing],
    case length(Participants) + length(Committing) of
        0 -> ok;
        Count ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "~b transactions have been committing for longer than ~b s",
                      [Count, ?SETTLING div 1000],
                      "Start the backup again when the node has less to do.")}
    end.

-spec open_transactions() -> open().
%% mnesia:system_info(transactions) names only those that this node coordinates. The answer is a
%% copy of all that the participants are going to write.
open_transactions() ->
    case mnesia_tm:get_info(?ANSWER) of
        {info, Participants, Coordinators} ->
            {[element(2, Participant) || Participant <- Participants],
             [{Process, Store} || {{tid, _, Process}, [Store | _]} <- Coordinators]};
        {timeout, _} ->
            exit(mnesia_does_not_answer)
    end.

-spec still(open()) -> open().
%% Those of them that are still open. What this node coordinates is looked at in its store, which
%% goes with the transaction.
still({[], Coordinators}) ->
    {[], Coordinators};
still({Participants, Coordinators}) ->
    {Open, _} = open_transactions(),
    {[Participant || Participant <- Participants, lists:member(Participant, Open)], Coordinators}.

-spec committing(open()) -> open().
%% Leaves out what this node coordinates and is over or not being committed. Participants take
%% part in nothing but the commit.
committing({Participants, Coordinators}) ->
    {Participants, [Transaction || Transaction <- Coordinators, may_be_committing(Transaction)]}.

-spec may_be_committing({pid(), Store :: ets:tid()}) -> boolean().
%% A commit begins by entering the transaction as pending: first with the checkpoints that are
%% being activated, then in its store, where Mnesia itself looks for it. In between only the
%% process knows; but it does not wait there for anything. So a process that waits although its
%% store has no such entry is not committing, and whatever it commits later is retained. (In this
%% order: a store without the entry now had none when the process was seen waiting.)
may_be_committing({Process, Store}) ->
    Waits = process_info(Process, status) =:= {status, waiting},
    case judge(Store) of
        over -> false;
        committing -> true;
        open -> not Waits
    end.

-spec judge(Store :: ets:tid()) -> open | committing | over.
judge(Store) ->
    try ets:member(Store, pending) of
        true -> committing;
        false -> open
    catch
        error:badarg -> over
    end.

%% ------------------------------------------------------------------
%% All nodes

-spec deactivate_everywhere(name()) -> ok.
%% Mnesia's own deactivation goes to the nodes that the local checkpoint knows of. When that is
%% not to be had, all running nodes are asked; those that know of none answer with an error that
%% is of no interest.
deactivate_everywhere(Name) ->
    try mnesia:deactivate_checkpoint(Name) of
        ok -> ok;
        {error, _} -> deactivate_on(running_nodes(), Name)
    catch
        exit:_ -> deactivate_on(running_nodes(), Name)
    end.

-spec deactivate_on([node()], name()) -> ok.
deactivate_on(Nodes, Name) ->
    _ = rpc:multicall(Nodes, mnesia, deactivate_checkpoint, [Name], ?ANSWER),
    ok.

-spec deactivate_stale() -> ok.
deactivate_stale() ->
    lists:foreach(
      fun(Name) ->
              rabbit_hot_backup_compat:log(
                warning, "deactivating the checkpoint ~tp that was left behind", [Name]),
              deactivate_everywhere(Name)
      end, stale(running_nodes())).

-spec orphaned(node()) -> ok.
%% Only here: mnesia:deactivate_checkpoint/1 would end it on all nodes, and the lost one may be back
%% at once and still read its own.
orphaned(Node) ->
    case running_nodes() of
        [] ->
            ok;
        _ ->
            Names = begun_by(Node, mnesia:system_info(checkpoints)),
            _ = [spawn(fun() -> mnesia_checkpoint:deactivate([node()], Name) end)
                 || Name <- Names],
            ok
    end.

-spec stale([node()]) -> [name()].
stale(Nodes) ->
    {Lists, _} = rpc:multicall(Nodes, mnesia, system_info, [checkpoints], ?ANSWER),
    begun_by(node(), lists:append([List || List <- Lists, is_list(List)])).

-spec begun_by(node(), [term()]) -> [name()].
begun_by(Begun, Names) ->
    lists:usort([Name || {rabbit_hot_backup, Node, _} = Name <- Names, Node =:= Begun]).

-spec running_nodes() -> [node()].
%% None when Mnesia does not run here, as on brokers whose metadata is in Khepri.
running_nodes() ->
    case mnesia:system_info(is_running) of
        yes -> mnesia:system_info(running_db_nodes);
        _ -> []
    end.

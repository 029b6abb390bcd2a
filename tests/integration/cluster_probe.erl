%% Runs inside the brokers of a cluster: stops the node's part of a backup of the cluster at a step,
%% and looks at what a backup leaves behind.
%%
%% Every order of the conductor and every step of the engine passes through one process of each
%% node, rabbit_hot_backup_part. sys:install/2 shows it each message before it is handled, in that
%% process itself: while the function that is told does not return, nothing goes on there. The code
%% of the plugin is as it ships.
-module(cluster_probe).

-export([break_at/1, is_reached/0, go_on/0]).
-export([what_runs/0]).

%% Nobody waits for ever, should the test be gone.
-define(PATIENCE, 60 * 1000).

%% The part stops when the next message of this kind arrives, before it is handled: an order
%% (join, prepare, flush, hold, verdict, publish, commit) or where the engine is (ready, based,
%% armed, held, prepared, published). Only once.
-spec break_at(atom()) -> ok.
break_at(Step) ->
    Self = self(),
    %% A process of its own, which answers while the part stands.
    Keeper = spawn(fun() ->
                           true = register(?MODULE, self()),
                           ok = install(Step),
                           Self ! {self(), ready},
                           await()
                   end),
    receive {Keeper, ready} -> ok end.

install(Step) ->
    Keeper = self(),
    sys:install(rabbit_hot_backup_part,
                {?MODULE, fun(Wanted, Event, _) -> look(Wanted, Event, Keeper) end, Step}).

await() ->
    receive
        {reached, Part} ->
            stand(Part);
        {is_reached, From} ->
            From ! {is_reached, false},
            await();
        {go_on, From} ->
            ok = sys:remove(rabbit_hot_backup_part, ?MODULE),
            unregister(?MODULE),
            From ! gone_on
    end.

stand(Part) ->
    receive
        {is_reached, From} ->
            From ! {is_reached, true},
            stand(Part);
        {go_on, From} ->
            unregister(?MODULE),
            Part ! {go_on, self()},
            From ! gone_on
    end.

look(Wanted, {in, Message}, Keeper) ->
    case kind(Message) of
        Wanted ->
            Keeper ! {reached, self()},
            receive {go_on, Keeper} -> done
            after ?PATIENCE -> done
            end;
        _ ->
            Wanted
    end;
look(Wanted, _, _) ->
    Wanted.

kind({conductor, _, Order}) -> name(Order);
kind({'$gen_call', _, {at, _, Step}}) -> name(Step);
kind(_) -> none.

name(Name) when is_atom(Name) -> Name;
name(Tuple) -> element(1, Tuple).

-spec is_reached() -> boolean().
is_reached() ->
    ask(is_reached, fun() -> receive {is_reached, Is} -> Is end end).

%% Also when it was not reached; then it is no more to be.
-spec go_on() -> ok.
go_on() ->
    case whereis(?MODULE) of
        undefined -> ok;
        _ -> ask(go_on, fun() -> receive gone_on -> ok end end)
    end.

ask(Question, Answer) ->
    ?MODULE ! {Question, self()},
    Answer().

%% What runs in the node for a backup, and what is retained for one: nothing, when it is over. Uses
%% integration_probe.
-spec what_runs() -> [term()].
what_runs() ->
    [{job, Job} || Job <- rabbit_hot_backup_jobs:running()]
        ++ [{held, Held} || Held <- integration_probe:held()]
        ++ [{part, Part} || Part <- [sys:get_state(rabbit_hot_backup_part)], Part =/= none]
        ++ [{conductor, State} || Conductor <- rabbit_hot_backup_cluster_sup:backups(),
                                  {State, _} <- [sys:get_state(Conductor)], State =/= ended]
        ++ [{stopped, Blockers} || Blockers <- [erlang:system_info(multi_scheduling_blockers)],
                                   Blockers =/= []].

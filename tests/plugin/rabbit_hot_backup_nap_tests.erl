%% Naps, with the library and without. HOT_BACKUP_NATIVE is the directory that it is in.
-module(rabbit_hot_backup_nap_tests).

-include_lib("eunit/include/eunit.hrl").

-import(rabbit_hot_backup_nap, [load/1, nap/1]).

nap_test_() ->
    [{"without the library none takes time, and it is said why", fun without/0},
     {"with it they take at least their time", fun with/0},
     {"no nap is longer than a millisecond", ?_assertError(badarg, nap(1001))},
     {"a nap has a length", ?_assertError(badarg, nap(-1))},
     {"it is loaded once", ?_assertEqual(ok, load(directory()))},
     {"it outlives a new load of the module", fun renewed/0}].

without() ->
    {error, Reason} = load("/nowhere"),
    ?assertMatch({match, _}, re:run(Reason, "/nowhere")),
    ?assertEqual(1000, nap(1000)).

with() ->
    ok = load(directory()),
    {Time, _} = timer:tc(fun() -> [1000 = nap(1000) || _ <- lists:seq(1, 20)] end),
    ?assert(Time >= 20 * 1000).

renewed() ->
    true = code:soft_purge(rabbit_hot_backup_nap),
    {module, _} = code:load_file(rabbit_hot_backup_nap),
    ok = load(directory()),
    true = code:soft_purge(rabbit_hot_backup_nap),
    {Time, _} = timer:tc(fun() -> nap(1000) end),
    ?assert(Time >= 1000).

directory() ->
    os:getenv("HOT_BACKUP_NATIVE").

%% How the application starts and stops.
-module(rabbit_hot_backup_app_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [checkpoints/0]).

-export([log/2]).

app_test_() ->
    {setup,
     fun hot_backup_harness:start_mnesia/0,
     fun hot_backup_harness:stop_mnesia/1,
     [fun all_modules_are_loaded_at_the_start/0,
      fun a_checkpoint_that_outlives_its_owner_is_reaped_at_the_stop/0,
      fun wrong_settings_are_named_at_the_start/0,
      fun mnesia_is_not_started_for_the_plugin/0]}.

%% An operation is known by an atom, which only a loaded module brings along.
all_modules_are_loaded_at_the_start() ->
    _ = application:load(rabbitmq_hot_backup),
    ok = application:set_env(rabbitmq_hot_backup, port, false),
    {ok, Modules} = application:get_key(rabbitmq_hot_backup, modules),
    ?assert(lists:member(rabbit_hot_backup_operations, Modules)),
    [begin _ = code:purge(Module), _ = code:delete(Module) end
     || Module <- [rabbit_hot_backup_operations, rabbit_hot_backup_describe]],
    ?assertNot(erlang:module_loaded(rabbit_hot_backup_operations)),
    {ok, Supervisor} = rabbit_hot_backup_app:start(normal, []),
    unlink(Supervisor),
    ?assertEqual([], [Module || Module <- Modules, not erlang:module_loaded(Module)]),
    hot_backup_harness:stop_plugin(Supervisor).

%% An owner that is killed at the stop does nothing for its checkpoints.
a_checkpoint_that_outlives_its_owner_is_reaped_at_the_stop() ->
    Ours = {rabbit_hot_backup, node(), {1, 1}},
    Other = {rabbit_hot_backup, 'other@nowhere', {1, 1}},
    [{ok, Name, _} = mnesia:activate_checkpoint([{name, Name}, {max, [schema]}])
     || Name <- [Ours, Other]],
    ok = rabbit_hot_backup_app:stop([]),
    ?assertEqual([Other], checkpoints()),
    ok = mnesia:deactivate_checkpoint(Other).

wrong_settings_are_named_at_the_start() ->
    ok = logger:add_handler(?MODULE, ?MODULE, #{config => self(), level => warning}),
    ok = rabbit_hot_backup_settings:warn(),
    hot_backup_harness:set(#{max_pause => 0, rate_limit => none, stall_timeout => 1000}),
    ok = rabbit_hot_backup_settings:warn(),
    hot_backup_harness:set(#{max_pause => 250, rate_limit => 0, stall_timeout => 60000}),
    ok = logger:remove_handler(?MODULE),
    ?assertMatch({match, _}, re:run(logged(), "the setting max_pause is 0 and")),
    ?assertMatch({match, _}, re:run(logged(), "the setting rate_limit is none and")),
    receive {logged, Other} -> error(Other) after 0 -> ok end.

%% The handler of this suite.
log(#{msg := {Format, Arguments}}, #{config := Test}) ->
    Test ! {logged, io_lib:format(Format, Arguments)},
    ok.

logged() ->
    receive {logged, Line} -> Line after 5000 -> error(nothing_logged) end.

%% A broker whose metadata is in Khepri does without it.
mnesia_is_not_started_for_the_plugin() ->
    {ok, Applications} = application:get_key(rabbitmq_hot_backup, applications),
    ?assertNot(lists:member(mnesia, Applications)).

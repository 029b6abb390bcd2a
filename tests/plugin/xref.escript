#!/usr/bin/env escript
%% Calls of functions that do not exist: xref.escript EBIN
%%
%% RabbitMQ's own functions are not at hand where the plugin is compiled: they may be called from
%% the modules that know its releases.
main([Ebin]) ->
    {ok, _} = xref:start(check),
    ok = xref:set_default(check, [{warnings, false}, {verbose, false}]),
    ok = xref:set_library_path(check, code:get_path()),
    {ok, _} = xref:add_directory(check, Ebin),
    {ok, Undefined} = xref:analyze(check, undefined_function_calls),
    Calls = [Call || {{Caller, _, _}, {Called, _, _}} = Call <- Undefined,
                     not (knows_releases(Caller) andalso is_rabbitmq(Called)),
                     not (is_handler(Caller) andalso Called =:= cowboy_req),
                     not (is_command(Caller) andalso is_command(Called))],
    {ok, Unused} = xref:analyze(check, locals_not_used),
    [io:format("undefined: ~w calls ~w~n", [Caller, Called]) || {Caller, Called} <- Calls],
    [io:format("not used: ~w~n", [Function]) || Function <- Unused],
    halt(case Calls ++ Unused of [] -> 0; _ -> 1 end).

knows_releases(Module) ->
    lists:member(Module, [rabbit_hot_backup_compat, rabbit_hot_backup_delivery_compat,
                          rabbit_hot_backup_khepri, rabbit_hot_backup_queue_type,
                          rabbit_hot_backup_queue_compat, rabbit_hot_backup_sandbox,
                          rabbit_hot_backup_prometheus, rabbit_hot_backup_mgmt_compat]).

is_rabbitmq(Module) ->
    lists:member(Module, [rabbit, rabbit_event, rabbit_nodes, rabbit_khepri, khepri_machine, rabbit_prelaunch,
                          rabbit_prelaunch_conf, rabbit_feature_flags, rabbit_disk_monitor,
                          ra, ra_leaderboard, ra_system, rabbit_fifo, rabbit_quorum_queue, osiris_counters, rabbit_definitions, rabbit_alarm, rabbit_json,
                          rabbit_queue_type, rabbit_queue_location, rabbit_registry, rabbit_amqqueue, amqqueue, rabbit_misc, rabbit_basic,
                          rabbit_binary_parser, credit_flow, mc_amqpl, prometheus_model_helpers,
                          rabbit_mgmt_util, rabbit_mgmt_headers]).

is_handler(Module) ->
    lists:prefix("rabbit_hot_backup_mgmt", atom_to_list(Module)).

%% They run in RabbitMQ's command line tools, with what those have.
is_command(Module) ->
    Module =:= rabbit_hot_backup_cli
        orelse lists:prefix("Elixir.RabbitMQ.CLI.", atom_to_list(Module)).

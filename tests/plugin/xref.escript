#!/usr/bin/env escript
%% Calls of functions that do not exist: xref.escript EBIN
%%
%% RabbitMQ's own functions are not at hand where the plugin is compiled: they may be called from
%% one module.
main([Ebin]) ->
    {ok, _} = xref:start(check),
    ok = xref:set_default(check, [{warnings, false}, {verbose, false}]),
    ok = xref:set_library_path(check, code:get_path()),
    {ok, _} = xref:add_directory(check, Ebin),
    {ok, Undefined} = xref:analyze(check, undefined_function_calls),
    Calls = [Call || {{Caller, _, _}, {Called, _, _}} = Call <- Undefined,
                     not (Caller =:= rabbit_hot_backup_compat andalso is_rabbitmq(Called))],
    {ok, Unused} = xref:analyze(check, locals_not_used),
    [io:format("undefined: ~w calls ~w~n", [Caller, Called]) || {Caller, Called} <- Calls],
    [io:format("not used: ~w~n", [Function]) || Function <- Unused],
    halt(case Calls ++ Unused of [] -> 0; _ -> 1 end).

is_rabbitmq(Module) ->
    lists:member(Module, [rabbit, rabbit_nodes, rabbit_khepri, khepri, rabbit_prelaunch,
                          rabbit_prelaunch_conf, rabbit_feature_flags, rabbit_disk_monitor,
                          ra_system, osiris_counters]).

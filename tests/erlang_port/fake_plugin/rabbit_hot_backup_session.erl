%% What node_channel_test.cpp attaches to in place of the plugin's module of this name.
-module(rabbit_hot_backup_session).

-export([attach/1]).

-spec attach(pid()) -> {ok, pid()} | {error, map()}.
attach(Engine) ->
    case application:get_env(kernel, fake_plugin_refuses) of
        {ok, Error} -> {error, Error};
        undefined -> {ok, spawn(fun() -> echo(Engine) end)}
    end.

echo(Engine) ->
    receive
        stop ->
            erlang:disconnect_node(node(Engine));
        exit ->
            exit(Engine, shutdown);
        halt ->
            erlang:halt(0, [{flush, false}]);
        {blob, Size} ->
            Engine ! {blob, binary:copy(<<"x">>, Size)},
            echo(Engine);
        Message ->
            Engine ! Message,
            echo(Engine)
    end.

%% The application: an ordinary plugin that `rabbitmq-plugins` enables and disables on a running
%% node.
-module(rabbit_hot_backup_app).

-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    rabbit_hot_backup_sup:start_link().

-spec stop(term()) -> ok.
stop(_State) ->
    ok.

%% The application: an ordinary plugin that `rabbitmq-plugins` enables and disables on a running
%% node.
-module(rabbit_hot_backup_app).

-behaviour(application).

-export([start/2, prep_stop/1, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
%% Loads all modules at once: an operation is known by its name only if the atom exists, and the
%% atoms of a module exist when it is loaded.
start(_Type, _Arguments) ->
    {ok, Modules} = application:get_key(rabbitmq_hot_backup, modules),
    case code:ensure_modules_loaded(Modules) of
        ok ->
            ok = rabbit_hot_backup_settings:warn(),
            ok = load_nap(),
            rabbit_hot_backup_sup:start_link();
        {error, Reasons} -> {error, {modules_not_loaded, Reasons}}
    end.

-spec load_nap() -> ok.
%% It lies beside the program.
load_nap() ->
    case rabbit_hot_backup_nap:load(filename:dirname(rabbit_hot_backup_settings:executable())) of
        ok -> ok;
        {error, Reason} ->
            rabbit_hot_backup_compat:log(
              info, "the node will be awake while it stands still, for there is no library to rest "
              "with: ~ts", [Reason])
    end.

-spec prep_stop(State) -> State.
%% Whoever waits for a program could not be stopped before it.
prep_stop(State) ->
    ok = rabbit_hot_backup_programs:end_all(),
    State.

-spec stop(term()) -> ok.
stop(_State) ->
    ok = rabbit_hot_backup_prometheus:deregister(),
    ok = unload_nap(),
    rabbit_hot_backup_checkpoints:reap().

-spec unload_nap() -> ok.
%% RabbitMQ deletes the modules of a plugin that is disabled, but leaves their code as old code, and
%% the library with it.
unload_nap() ->
    _ = code:delete(rabbit_hot_backup_nap),
    _ = code:soft_purge(rabbit_hot_backup_nap),
    ok.

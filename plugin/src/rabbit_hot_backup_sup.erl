%% The plugin's processes.
%%
%% Whoever holds state that others rely on comes first: a restart takes those that follow along, so
%% that no session goes on with a job or a checkpoint that nobody watches any more. Sessions are
%% temporary and the port manager survives whatever its program does, so no failure of the program
%% counts here: the restarts below are for faults of the plugin itself.
-module(rabbit_hot_backup_sup).

-behaviour(supervisor).

-export([start_link/0]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Flags = #{strategy => rest_for_one, intensity => 3, period => 60},
    Children = [worker(rabbit_hot_backup_programs),
                worker(rabbit_hot_backup_jobs),
                worker(rabbit_hot_backup_checkpoints),
                supervisor(rabbit_hot_backup_delivery_sup),
                supervisor(rabbit_hot_backup_session_sup),
                supervisor(rabbit_hot_backup_task_sup),
                worker(rabbit_hot_backup_catalogue),
                worker(rabbit_hot_backup_turnstile),
                worker(rabbit_hot_backup_tickets),
                worker(rabbit_hot_backup_port),
                worker(rabbit_hot_backup_part),
                supervisor(rabbit_hot_backup_cluster_sup),
                worker(rabbit_hot_backup_monitor),
                worker(rabbit_hot_backup_schedule)],
    {ok, {Flags, Children}}.

-spec worker(module()) -> supervisor:child_spec().
worker(Module) ->
    #{id => Module, start => {Module, start_link, []}, shutdown => 15000}.

-spec supervisor(module()) -> supervisor:child_spec().
supervisor(Module) ->
    #{id => Module, start => {Module, start_link, []}, type => supervisor, shutdown => infinity}.

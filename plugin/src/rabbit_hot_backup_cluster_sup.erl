%% The cluster backups that this node conducts or has conducted. Nothing restarts one: its parts end
%% with it.
-module(rabbit_hot_backup_cluster_sup).

-behaviour(supervisor).

-export([start_link/0, start_backup/1, backups/0]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec start_backup(rabbit_hot_backup_cluster:options()) -> {ok, pid()}.
start_backup(Options) ->
    {ok, Conductor} = supervisor:start_child(?MODULE, [Options]),
    {ok, Conductor}.

-spec backups() -> [pid()].
backups() ->
    [Pid || {_, Pid, _, _} <- supervisor:which_children(?MODULE), is_pid(Pid)].

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Backup = #{id => cluster_backup,
               start => {rabbit_hot_backup_conductor, start_link, []},
               restart => temporary,
               shutdown => 5000},
    {ok, {#{strategy => simple_one_for_one}, [Backup]}}.

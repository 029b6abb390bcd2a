%% RabbitMQ Hot Backup, as the rest of the node sees it: the management pages, commands, a schedule.
%%
%% A backup is made by a program outside the VM (see docs/architecture.md). The functions here ask
%% for one and tell how it is getting on; none of them waits for a backup to finish.
%%
%% Every function that can fail returns `{error, Error}` with a map that names a code, a message
%% (the cause, for people) and a hint (what to do about it).
-module(rabbit_hot_backup).

%% Doing.
-export([start_backup/1, cancel/0, cancel/1]).

%% Looking.
-export([status/0, history/0]).

-export_type([options/0, job_id/0, job/0, port_status/0, status/0, error/0]).

-type options() :: #{repository => file:filename_all()}.
%% `repository`: the directory that the backup goes to. The default is the setting `repository` of
%% the application.

-type job_id() :: rabbit_hot_backup_jobs:id().
%% A number that rises with every backup since the plugin was started.

-type job() :: rabbit_hot_backup_jobs:job().
%% Its `state` is `requested`, `running`, `done`, `failed` or `cancelled`. A running one has a
%% `phase` and its `progress` in bytes (the total is 0 while nobody knows it); a finished one the
%% ID of its `backup` or its `error`. All times are Unix times in milliseconds.

-type port_status() :: rabbit_hot_backup_port:status().
%% How the program is that the broker starts. When its `state` is `waiting`, `error` says what is
%% wrong.

-type status() :: #{job := job() | none,
                    port := port_status(),
                    repository := binary(),
                    checkpoints := [term()]}.
%% `checkpoints` names the Mnesia checkpoints that are active for backups of this node right now.

-type error() :: rabbit_hot_backup_protocol:error().
%% Codes: `busy` (something else is being done), `stalled` (the program did not get on), `mismatch`
%% (versions that do not fit), `cancelled`, `unsupported`, and `failed` for everything else.

%% How long the program may take to accept a backup; it answers before it begins.
-define(ACCEPT, 30000).
%% And how long it may then take to begin it.
-define(BEGIN, 30000).

-spec start_backup(options()) -> {ok, job_id()} | {error, error()}.
%% Asks the program for a backup and returns as soon as it has accepted.
start_backup(Options) ->
    Repository = repository(Options),
    case rabbit_hot_backup_port:session() of
        {ok, Session} ->
            case rabbit_hot_backup_jobs:request(Session, Repository, ?ACCEPT + ?BEGIN) of
                {ok, Id} -> accepted(Session, Id, Repository);
                {error, Error} -> {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec accepted(pid(), job_id(), binary()) -> {ok, job_id()} | {error, error()}.
accepted(Session, Id, Repository) ->
    Arguments = #{job => Id, repository => Repository},
    case rabbit_hot_backup_session:request(Session, backup, Arguments, ?ACCEPT) of
        {ok, _} ->
            {ok, Id};
        {error, Error} ->
            ok = rabbit_hot_backup_jobs:fail(Id, Error),
            {error, Error}
    end.

-spec cancel() -> ok | {error, error()}.
%% Asks for the end of whatever job there is.
cancel() ->
    case rabbit_hot_backup_jobs:current() of
        #{id := Id, session := Session} -> rabbit_hot_backup_session:cancel(Session, Id);
        none -> {error, rabbit_hot_backup_protocol:error(failed, "no backup is running")}
    end.

-spec cancel(job_id()) -> ok | {error, error()}.
%% Asks for the end of one job. It is over when its state says so: the program cleans up first.
cancel(Id) ->
    case rabbit_hot_backup_jobs:current() of
        #{id := Id, session := Session} ->
            rabbit_hot_backup_session:cancel(Session, Id);
        _ ->
            {error, rabbit_hot_backup_protocol:error(failed, "job ~tp is not running", [Id])}
    end.

-spec status() -> status().
status() ->
    #{job => rabbit_hot_backup_jobs:current(),
      port => rabbit_hot_backup_port:status(),
      repository => repository(#{}),
      checkpoints => rabbit_hot_backup_checkpoints:active()}.

-spec history() -> [job()].
%% The last hundred jobs that have finished, the newest first.
history() ->
    rabbit_hot_backup_jobs:history().

-spec repository(options()) -> binary().
repository(#{repository := Repository}) ->
    rabbit_hot_backup_compat:path(Repository);
repository(#{}) ->
    {ok, Repository} = application:get_env(rabbitmq_hot_backup, repository),
    rabbit_hot_backup_compat:path(Repository).

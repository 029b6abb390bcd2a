%% RabbitMQ Hot Backup, as the rest of the node sees it: the management pages, commands, a schedule.
%%
%% A backup is made by a program outside the VM (see docs/architecture.md). The functions here ask
%% for one and tell how it is getting on; none of them waits for a backup to finish.
%%
%% Every function that can fail returns `{error, Error}` with a map that names a code, a message
%% (the cause, for people) and a hint (what to do about it).
-module(rabbit_hot_backup).

%% Doing. Who wants it done is noted: rabbit_hot_backup_audit.
-export([start_backup/1, start_cluster_backup/1, start_verification/2, start_drill/2, start_restore/3]).
-export([cancel/0, cancel/1, cancel/2]).
-export([protect/3, unprotect/2, delete/2, prune/3, download/2]).

%% Looking.
-export([status/0, history/0, job/1, plan_restore/2]).

-export_type([options/0, selection/0, job_id/0, job/0, port_status/0, status/0, error/0]).

-type options() :: #{repository => file:filename_all(),
                     actor => rabbit_hot_backup_jobs:actor(),
                     lock_patience => non_neg_integer(),
                     this_node => boolean(),
                     allow_missing => rabbit_hot_backup_members:allowed()}.
%% `repository`: the directory that the backup goes to, on each node. The default is the setting
%% `repository` of the application. `lock_patience`: how long another writer of it is waited for, in
%% milliseconds. `this_node`: not the whole cluster. `allow_missing`: nodes that it may lack.

-type selection() :: #{queues => [binary()], vhosts => [binary()], all => boolean(),
                       as => binary(), definitions_only => boolean(),
                       rate_limit => pos_integer()}.
%% What of a backup comes back, as `restore --into` takes it: `queues` as `VHOST/NAME`, patterns
%% allowed; `as` is another name for the one queue.

-type job_id() :: rabbit_hot_backup_jobs:id().
%% A number that rises with every job since the plugin was started.

-type job() :: rabbit_hot_backup_jobs:job().
%% Its `kind` is `backup`, `verify`, `drill` or `restore`, its `state` `requested`, `running`,
%% `done`, `failed` or `cancelled`. A running one has a `phase` and its `progress` in bytes (the
%% total is 0 while nobody knows it), and a part of a cluster's backup how far all `nodes` are; a finished one the ID of its `backup` or its `error`. All
%% times are Unix times in milliseconds.

-type port_status() :: rabbit_hot_backup_port:status().
%% How the program is that the broker starts. When its `state` is `waiting`, `error` says what is
%% wrong.

-type status() :: #{job := job() | none,
                    jobs := [job()],
                    port := port_status(),
                    repository := binary(),
                    checkpoints := [term()]}.
%% `job` is the backup that is being made, `jobs` are all that run. `checkpoints` names the Mnesia
%% checkpoints that are active for backups of this node right now.

-type error() :: rabbit_hot_backup_protocol:error().
%% Codes: `busy` (something else is being done), `locked` (so is something in the repository), `stalled` (the program did not get on), `mismatch`
%% (versions that do not fit), `cancelled`, `unsupported`, `not_found` (no such backup), `damaged`,
%% `usage` (an argument that makes no sense), and `failed` for everything else.

%% Who acts when nobody is named: RabbitMQ's own name for itself.
-define(NODE_ITSELF, #{user => <<"rmq-internal">>}).
%% How long it may take to compare a backup's definitions with the node's.
-define(PLAN, 60000).

-spec start_backup(options()) -> {ok, job_id()} | {error, error()}.
%% Asks the program for a backup and returns as soon as it has accepted. Of a member of a cluster all
%% nodes are backed up, unless told otherwise.
start_backup(Options) ->
    IsClustered = length(rabbit_hot_backup_compat:members()) > 1,
    case {IsClustered andalso not maps:get(this_node, Options, false), Options} of
        {true, _} ->
            start_cluster_backup(maps:remove(this_node, Options));
        {false, #{allow_missing := [_ | _]}} ->
            {error, rabbit_hot_backup_protocol:error(
                      usage, "no node can be missing in a backup of ~ts alone", [node()],
                      "Leave out allow_missing.")};
        {false, _} ->
            start_own_backup(Options)
    end.

-spec start_own_backup(options()) -> {ok, job_id()} | {error, error()}.
start_own_backup(Options) ->
    Repository = repository(Options),
    Actor = maps:get(actor, Options, ?NODE_ITSELF),
    rabbit_hot_backup_audit:record(back_up, Actor, #{repository => Repository},
                                   request_backup(Repository, Actor,
                                                  maps:get(lock_patience, Options, 0))).

-spec request_backup(binary(), rabbit_hot_backup_jobs:actor(), non_neg_integer()) ->
          {ok, job_id()} | {error, error()}.
request_backup(Repository, Actor, LockPatience) ->
    case rabbit_hot_backup_order:request(
           #{kind => backup, repository => Repository, actor => Actor},
           #{repository => Repository, lock_patience => LockPatience}) of
        {ok, _, Id} -> {ok, Id};
        {error, Error} -> {error, Error}
    end.

-spec start_cluster_backup(rabbit_hot_backup_cluster:options()) ->
          {ok, job_id()} | {error, error()}.
%% Has all nodes of the cluster backed up, at one instant. The job is that of this node's part;
%% rabbit_hot_backup_cluster:status/1 tells of all of them.
start_cluster_backup(Given) ->
    Options = case Given of
                  #{repository := _} -> Given#{repository := repository(Given)};
                  #{} -> Given
              end,
    Actor = maps:get(actor, Options, ?NODE_ITSELF),
    rabbit_hot_backup_audit:record(back_up, Actor, maps:with([repository], Options),
                                   rabbit_hot_backup_cluster:start(Options#{actor => Actor})).

-spec start_verification(Backup :: binary(), rabbit_hot_backup_jobs:actor()) ->
          {ok, job_id()} | {error, error()}.
%% Compares every byte of a backup with its checksum.
start_verification(Backup, Actor) ->
    start_task(verify, Backup, Actor, ["verify", Backup]).

-spec start_drill(Backup :: binary(), rabbit_hot_backup_jobs:actor()) ->
          {ok, job_id()} | {error, error()}.
%% Boots a backup beside this node and compares what it serves.
start_drill(Backup, Actor) ->
    start_task(drill, Backup, Actor, ["verify", Backup, "--boot"]).

-spec start_restore(Backup :: binary(), selection(), rabbit_hot_backup_jobs:actor()) ->
          {ok, job_id()} | {error, error()}.
%% Brings queues of a backup into this node.
start_restore(Backup, Selection, Actor) ->
    start_task(restore, Backup, Actor, restore_arguments(Backup, Selection)).

-spec plan_restore(Backup :: binary(), selection()) ->
          {ok, [rabbit_hot_backup_program:object()]} | {error, error()}.
%% What start_restore/3 would do: the objects that a dry run prints.
plan_restore(Backup, Selection) ->
    case rabbit_hot_backup_program:check_id(Backup) of
        ok -> rabbit_hot_backup_program:run(
                in_repository(restore_arguments(Backup, Selection)) ++ ["--dry-run"], ?PLAN);
        {error, Error} -> {error, Error}
    end.

-spec start_task(verify | drill | restore, binary(), rabbit_hot_backup_jobs:actor(), [iodata()]) ->
          {ok, job_id()} | {error, error()}.
start_task(Kind, Backup, Actor, Arguments) ->
    Order = #{kind => Kind, backup => Backup, actor => Actor,
              repository => rabbit_hot_backup_settings:repository()},
    Started = case rabbit_hot_backup_program:check_id(Backup) of
                  ok -> rabbit_hot_backup_task_sup:start_task(Order, in_repository(Arguments));
                  {error, Error} -> {error, Error}
              end,
    rabbit_hot_backup_audit:record(Kind, Actor, #{backup => Backup}, Started).

-spec in_repository([iodata()]) -> [iodata()].
in_repository(Arguments) ->
    Arguments ++ ["--repository", rabbit_hot_backup_settings:repository()].

-spec restore_arguments(binary(), selection()) -> [iodata()].
restore_arguments(Backup, Selection) ->
    ["restore", Backup, "--into", atom_to_binary(node())]
        ++ ["--longnames" || net_kernel:longnames() =:= true]
        ++ [["--queue=", Queue] || Queue <- maps:get(queues, Selection, [])]
        ++ [["--vhost=", VHost] || VHost <- maps:get(vhosts, Selection, [])]
        ++ ["--all" || maps:get(all, Selection, false)]
        ++ [["--as=", Name] || #{as := Name} <- [Selection]]
        ++ ["--definitions-only" || maps:get(definitions_only, Selection, false)]
        ++ [["--rate-limit=", integer_to_list(Limit)] || #{rate_limit := Limit} <- [Selection]].

-spec cancel() -> ok | {error, error()}.
%% Asks for the end of the backup that is being made.
cancel() ->
    case rabbit_hot_backup_jobs:current() of
        #{id := Id} -> cancel(Id);
        none -> {error, rabbit_hot_backup_protocol:error(failed, "no backup is running")}
    end.

-spec cancel(job_id()) -> ok | {error, error()}.
%% As cancel/2, when the node itself wants it.
cancel(Id) ->
    cancel(Id, ?NODE_ITSELF).

-spec cancel(job_id(), rabbit_hot_backup_jobs:actor()) -> ok | {error, error()}.
%% Asks for the end of one job. It is over when its state says so: the program cleans up first.
cancel(Id, Actor) ->
    rabbit_hot_backup_audit:record(cancel, Actor, #{job => Id}, ask_for_end(Id)).

-spec ask_for_end(job_id()) -> ok | {error, error()}.
ask_for_end(Id) ->
    case [Job || #{id := Running} = Job <- rabbit_hot_backup_jobs:running(), Running =:= Id] of
        [#{kind := backup, part := _}] ->
            rabbit_hot_backup_part:cancel(Id);
        [#{kind := backup, session := Session}] ->
            rabbit_hot_backup_session:cancel(Session, Id);
        [#{session := Task}] ->
            rabbit_hot_backup_task:cancel(Task);
        [] ->
            {error, rabbit_hot_backup_protocol:error(failed, "job ~tp is not running", [Id])}
    end.

-spec protect(Backup :: binary(), Reason :: binary(), rabbit_hot_backup_jobs:actor()) ->
          ok | {error, error()}.
%% Keeps a backup from being deleted. The reason may be empty.
protect(Backup, Reason, Actor) ->
    rabbit_hot_backup_audit:record(protect, Actor, #{backup => Backup, reason => Reason},
                                   rabbit_hot_backup_catalogue:protect(Backup, Reason)).

-spec unprotect(Backup :: binary(), rabbit_hot_backup_jobs:actor()) -> ok | {error, error()}.
unprotect(Backup, Actor) ->
    rabbit_hot_backup_audit:record(unprotect, Actor, #{backup => Backup},
                                   rabbit_hot_backup_catalogue:unprotect(Backup)).

-spec delete(Backup :: binary(), rabbit_hot_backup_jobs:actor()) -> ok | {error, error()}.
delete(Backup, Actor) ->
    rabbit_hot_backup_audit:record(delete, Actor, #{backup => Backup},
                                   rabbit_hot_backup_catalogue:delete(Backup)).

-spec prune(Rules :: [iodata()], rabbit_hot_backup_catalogue:pruning(),
            rabbit_hot_backup_jobs:actor()) ->
          {ok, [rabbit_hot_backup_program:object()]} | {error, error()}.
%% See rabbit_hot_backup_catalogue:prune/2. One that only looks is nobody's action.
prune(Rules, dry_run, _) ->
    rabbit_hot_backup_catalogue:prune(Rules, dry_run);
prune(Rules, Pruning, Actor) ->
    rabbit_hot_backup_audit:record(prune, Actor,
                                   #{repository => rabbit_hot_backup_settings:repository()},
                                   rabbit_hot_backup_catalogue:prune(Rules, Pruning)).

-spec download(Backup :: binary(), rabbit_hot_backup_jobs:actor()) ->
          {ok, rabbit_hot_backup_archive:description(), rabbit_hot_backup_archive:archive()}
        | {error, error()}.
%% Opens the archive of a backup, for the process that calls.
download(Backup, Actor) ->
    Opened = rabbit_hot_backup_archive:open(Backup),
    Result = case Opened of
                 {ok, _, _} -> ok;
                 {error, Error} -> {error, Error}
             end,
    _ = rabbit_hot_backup_audit:record(download, Actor, #{backup => Backup}, Result),
    Opened.

-spec status() -> status().
status() ->
    #{job => rabbit_hot_backup_jobs:current(),
      jobs => [rabbit_hot_backup_cluster:progress(Job) || Job <- rabbit_hot_backup_jobs:running()],
      port => rabbit_hot_backup_port:status(),
      repository => repository(#{}),
      checkpoints => rabbit_hot_backup_checkpoints:active()}.

-spec history() -> [job()].
%% The last hundred jobs that have finished, the newest first.
history() ->
    rabbit_hot_backup_jobs:history().

-spec job(job_id()) -> {ok, job()} | error.
%% One that runs, or of the history.
job(Id) ->
    case rabbit_hot_backup_jobs:find(Id) of
        {ok, Job} -> {ok, rabbit_hot_backup_cluster:progress(Job)};
        error -> error
    end.

-spec repository(options()) -> binary().
repository(#{repository := Repository}) ->
    rabbit_hot_backup_compat:path(Repository);
repository(#{}) ->
    rabbit_hot_backup_settings:repository().

%% Backups of the whole cluster, conducted by this node (rabbit_hot_backup_conductor).
-module(rabbit_hot_backup_cluster).

-export([start/1, status/1, progress/1, cancel/1]).

%% For the other nodes.
-export([nodes_of/1]).

-export_type([options/0, status/0, node_progress/0]).

-type options() :: #{repository => binary(),
                     allow_missing => rabbit_hot_backup_members:allowed(),
                     max_pause => pos_integer(),
                     rate_limit => non_neg_integer(),
                     lock_patience => non_neg_integer(),
                     actor => rabbit_hot_backup_jobs:actor()}.
%% `repository`: a directory on each node, in place of the nodes' own settings. `allow_missing`:
%% nodes that may be left out. `max_pause` and `lock_patience` are milliseconds.

-type status() :: #{state := running | done | failed,
                    phase := binary(),
                    nodes := [node_progress()],
                    backup => binary(),
                    manifest => binary(),
                    warnings => [binary()],
                    error => rabbit_hot_backup_protocol:error()}.

-type node_progress() :: #{node := binary(), phase := binary(), done := non_neg_integer(),
                           total := non_neg_integer()}.
%% How far a node's part is, in bytes.

%% How long the coordinator is asked for that.
-define(GLANCE, 1000).
%% Longer than a conductor waits for all nodes to begin, and than it takes to answer otherwise.
-define(BEGIN, 150 * 1000).
-define(ANSWER, 5000).

-spec start(options()) -> {ok, rabbit_hot_backup_jobs:id()}
                        | {error, rabbit_hot_backup_protocol:error()}.
%% Begins a backup of the cluster. The job is the one of this node's part. It returns when all nodes
%% have ordered their parts, or the first that does not want to has said so.
start(Options) ->
    {ok, Conductor} = rabbit_hot_backup_cluster_sup:start_backup(Options),
    try
        gen_statem:call(Conductor, begun, ?BEGIN)
    catch
        exit:_ -> {error, gone()}
    end.

-spec status(rabbit_hot_backup_jobs:id()) ->
          {ok, status()} | {error, rabbit_hot_backup_protocol:error()}.
%% How it is getting on, and for some minutes what came of it.
status(Job) ->
    case [Status || Conductor <- rabbit_hot_backup_cluster_sup:backups(),
                    {ok, Status} <- [ask(Conductor, {status, Job})]] of
        [Status | _] -> {ok, Status};
        [] -> former(Job)
    end.

-spec progress(rabbit_hot_backup_jobs:job()) -> rabbit_hot_backup_jobs:job().
%% The job, and how far all `nodes` are if it is a part that is being made. The coordinator knows,
%% which may be another node.
progress(#{state := State, part := #{cluster_backup := Id, coordinator := Coordinator}} = Job)
  when State =:= requested; State =:= running ->
    case lists:member(Coordinator, [node() | nodes()])
        andalso rpc:call(Coordinator, ?MODULE, nodes_of, [Id], ?GLANCE) of
        [_ | _] = Nodes -> Job#{nodes => Nodes};
        _ -> Job
    end;
progress(Job) ->
    Job.

-spec nodes_of(rabbit_hot_backup_part:id()) -> [node_progress()].
%% Of a cluster backup that this node conducts.
nodes_of(Id) ->
    lists:append([Nodes || Conductor <- rabbit_hot_backup_cluster_sup:backups(),
                           {ok, Nodes} <- [ask(Conductor, {nodes, Id})]]).

-spec former(rabbit_hot_backup_jobs:id()) ->
          {ok, status()} | {error, rabbit_hot_backup_protocol:error()}.
%% Of one whose conductor is gone.
former(Job) ->
    case rabbit_hot_backup_jobs:find(Job) of
        {ok, #{part := #{cluster_backup := Id}, state := done}} ->
            {ok, #{state => done, phase => <<"done">>, nodes => [], backup => Id,
                   warnings => []}};
        {ok, #{part := _} = Known} ->
            {ok, #{state => failed, phase => <<"failed">>, nodes => [],
                   error => maps:get(error, Known, gone())}};
        _ ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "job ~tp is no backup of a cluster that this node conducts", [Job])}
    end.

-spec cancel(rabbit_hot_backup_jobs:id()) -> ok.
%% Also of one that is over. What is being published is not stopped any more.
cancel(Job) ->
    lists:foreach(fun(Conductor) -> _ = ask(Conductor, {cancel, Job}) end,
                  rabbit_hot_backup_cluster_sup:backups()).

-spec ask(pid(), term()) -> term().
ask(Conductor, Question) ->
    try
        gen_statem:call(Conductor, Question, ?ANSWER)
    catch
        exit:_ -> gone
    end.

-spec gone() -> rabbit_hot_backup_protocol:error().
gone() ->
    rabbit_hot_backup_protocol:error(
      failed, "the process that conducted the backup of the cluster has ended", [],
      "Look into the log of the broker, and start the backup again.").

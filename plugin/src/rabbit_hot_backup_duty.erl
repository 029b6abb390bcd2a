%% Who makes a scheduled backup in a cluster. The schedule is in the configuration of all nodes; when
%% it is due, one of them has the whole cluster backed up, and the others leave it to that one.
-module(rabbit_hot_backup_duty).

-export([schedules_cluster/0, look/0, is_whole/0, options/0]).

-spec schedules_cluster() -> boolean().
%% Whether what this node's schedule makes are backups of the cluster.
schedules_cluster() ->
    rabbit_hot_backup_settings:schedule_scope() =:= cluster
        andalso rabbit_hot_backup_settings:schedule(backup) =/= none.

-spec look() -> ours | {left_to, node()}.
%% The first of the nodes that run and have such a schedule. It asks them all, which may take
%% seconds.
look() ->
    case is_clustered() andalso schedules_cluster() of
        true ->
            Others = [Node || #{node := Node, schedules_cluster := true} <- about()],
            case lists:min([node() | Others]) of
                Node when Node =:= node() -> ours;
                Node -> {left_to, Node}
            end;
        false ->
            ours
    end.

-spec is_whole() -> boolean().
%% Whether all whom a backup made now should have are there.
is_whole() ->
    not is_clustered() orelse not schedules_cluster()
        orelse length(about()) =:= length(rabbit_hot_backup_compat:members()).

-spec options() -> rabbit_hot_backup:options().
%% What a scheduled backup of this node, or of its cluster, is asked for with.
options() ->
    case {is_clustered(), rabbit_hot_backup_settings:schedule_scope()} of
        {true, cluster} ->
            case rabbit_hot_backup_settings:schedule_allow_missing() of
                true -> #{allow_missing => any};
                false -> #{}
            end;
        _ ->
            #{this_node => true}
    end.

-spec is_clustered() -> boolean().
is_clustered() ->
    length(rabbit_hot_backup_compat:members()) > 1.

-spec about() -> [rabbit_hot_backup_part:about()].
about() ->
    rabbit_hot_backup_part:about(rabbit_hot_backup_compat:members()).

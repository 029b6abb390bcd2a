%% Who takes part in a cluster backup: every member, or the reason why not.
-module(rabbit_hot_backup_members).

-export([plan/1, differ/2]).

-export_type([options/0, allowed/0, plan/0]).

-type options() :: #{allow_missing => allowed(), _ => _}.
%% `allow_missing`: nodes that may be left out when they cannot take part; `any`: all but this one.

-type allowed() :: [binary()] | any.

-type plan() :: #{members := [node()], nodes := [node(), ...], missing := [node()],
                  metadata := node() | leader}.
%% `nodes` take part; the metadata of all is stored with the part of one of them. With Khepri that
%% is the leader of the store, whichever node that is then.

-type problem() :: {node(), rabbit_hot_backup_protocol:error()}.

-spec plan(options()) -> {ok, plan()} | {error, rabbit_hot_backup_protocol:error()}.
%% Asks all members that run. It may take seconds.
plan(Options) ->
    Members = rabbit_hot_backup_compat:members(),
    Allowed = maps:get(allow_missing, Options, []),
    case Allowed =/= any andalso Allowed -- [atom_to_binary(Member) || Member <- Members] of
        [Stranger | _] ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "~ts is no member of the cluster", [Stranger],
                      "See rabbitmqctl cluster_status for the names of its nodes.")};
        _ ->
            plan(Members, Allowed)
    end.

-spec plan([node()], allowed()) ->
          {ok, plan()} | {error, rabbit_hot_backup_protocol:error()}.
plan(Members, Allowed) ->
    Running = rabbit_hot_backup_compat:running(),
    Asked = [Node || Node <- Members, lists:member(Node, [node() | nodes()])],
    About = rabbit_hot_backup_part:about(Asked),
    Problems = [Problem || Node <- Members, Problem <- problem(Node, Running, About)],
    case [Error || {Node, Error} <- Problems,
                   Node =:= node() orelse not is_allowed(Node, Allowed)] of
        [Error | _] ->
            {error, Error};
        [] ->
            Missing = [Node || {Node, _} <- Problems],
            ok = needless(Allowed, Missing),
            agreed(Members, Missing, [Each || #{node := Node} = Each <- About,
                                              not lists:member(Node, Missing)])
    end.

-spec is_allowed(node(), allowed()) -> boolean().
is_allowed(_, any) -> true;
is_allowed(Node, Allowed) -> lists:member(atom_to_binary(Node), Allowed).

-spec problem(node(), Running :: [node()], [rabbit_hot_backup_part:about()]) -> [problem()].
%% Why a node cannot take part; none if it can.
problem(Node, Running, About) ->
    Ours = rabbit_hot_backup_compat:plugin_version(),
    case [Each || #{node := Known} = Each <- About, Known =:= Node] of
        [#{version := Ours}] ->
            [];
        [#{version := Theirs}] ->
            [{Node, rabbit_hot_backup_protocol:error(
                      mismatch, "~ts runs version ~ts of the plugin rabbitmq_hot_backup, ~ts runs "
                      "~ts", [Node, Theirs, node(), Ours],
                      "Install the same version on all nodes of the cluster.")}];
        [] ->
            case lists:member(Node, Running) andalso lists:member(Node, [node() | nodes()]) of
                true ->
                    [{Node, rabbit_hot_backup_protocol:error(
                              failed, "~ts does not answer, or has no plugin rabbitmq_hot_backup "
                              "of this version", [Node],
                              "Look at the load of that node, or enable the plugin there: "
                              "rabbitmq-plugins enable rabbitmq_hot_backup.")}];
                false ->
                    [{Node, rabbit_hot_backup_protocol:error(
                              failed, "~ts does not run, or cannot be reached, so the cluster "
                              "cannot be backed up as a whole", [Node],
                              lists:concat(["Start it, or say --allow-missing ", Node,
                                            " and lose what only it has."]))}]
            end
    end.

-spec needless(allowed(), Missing :: [node()]) -> ok.
needless(any, _) ->
    ok;
needless(Allowed, Missing) ->
    _ = [rabbit_hot_backup_compat:log(warning, "~ts may be missing, and runs: it is backed up",
                                      [Node])
         || Node <- Allowed -- [atom_to_binary(Node) || Node <- Missing]],
    ok.

-spec agreed([node()], [node()], [rabbit_hot_backup_part:about()]) ->
          {ok, plan()} | {error, rabbit_hot_backup_protocol:error()}.
%% All must see each other and the same cluster.
agreed(Members, Missing, About) ->
    Nodes = lists:sort([Node || #{node := Node} <- About]),
    Apart = [{Here, There} || #{node := Here, sees := Seen} <- About, There <- Nodes -- Seen],
    Differing = [Theirs || #{members := Theirs} <- About, Theirs =/= Members],
    case {Apart, Differing} of
        {[{Here, There} | _], _} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "~ts cannot be reached from ~ts", [There, Here],
                      "Check the network between them: rabbitmqctl cluster_status tells of "
                      "partitions.")};
        {[], [Theirs | _]} ->
            {error, differ(Members, Theirs)};
        {[], []} ->
            case metadata(rabbit_hot_backup_compat:metadata_store(), Members, About) of
                {ok, Metadata} -> {ok, #{members => Members, nodes => Nodes, missing => Missing,
                                         metadata => Metadata}};
                {error, Error} -> {error, Error}
            end
    end.

-spec metadata(mnesia | khepri, [node()], [rabbit_hot_backup_part:about()]) ->
          {ok, node() | leader} | {error, rabbit_hot_backup_protocol:error()}.
metadata(mnesia, _, About) ->
    Disc = lists:sort([Node || #{node := Node, is_disc := true} <- About]),
    case {lists:member(node(), Disc), Disc} of
        {true, _} -> {ok, node()};
        {false, [Lowest | _]} -> {ok, Lowest};
        {false, []} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "no node of the cluster that runs keeps metadata on disc", [],
                      "Start one that does: rabbitmqctl cluster_status names the disc nodes.")}
    end;
metadata(khepri, Members, About) ->
    case 2 * length(About) > length(Members) of
        true -> {ok, leader};
        false ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "only ~b of the ~b members of the cluster can take part, and the "
                      "metadata needs a majority", [length(About), length(Members)],
                      "Start more of them.")}
    end.

-spec differ([node()], [node()]) -> rabbit_hot_backup_protocol:error().
%% The members at first, and the members now.
differ(Before, Now) ->
    Change = case {Now -- Before, Before -- Now} of
                 {[Node | _], _} -> [atom_to_list(Node), " joined"];
                 {[], [Node | _]} -> [atom_to_list(Node), " left"]
             end,
    rabbit_hot_backup_protocol:error(
      failed, "the cluster changed while it was backed up: ~ts", [Change],
      "Start the backup again.").

%% What is in a backup, as its repository's program says; of a cluster's backup, wherever the part is
%% that has it. A part in no repository of this node is looked into by the node whose part it is.
-module(rabbit_hot_backup_contents).

-export([show/1, list/4, definitions/1, unverified/1]).

%% For the other nodes.
-export([verdict/1]).

-export_type([whose/0]).

-type object() :: rabbit_hot_backup_program:object().

-type whose() :: whole | metadata | {files, Node :: binary()}.
%% Which part of a cluster's backup has it; `whole`: it is about all of them, and this node's
%% repository has it.

%% How long another node may take, in milliseconds.
-define(PATIENCE, 60000).

-spec show(Backup :: binary()) -> {ok, object()} | {error, rabbit_hot_backup_protocol:error()}.
%% What `show` prints of it, without what may be long. The parts are where they are for this node.
show(Backup) ->
    case {rabbit_hot_backup_catalogue:show(Backup), place(Backup, metadata)} of
        {{ok, Object}, {there, Node}} ->
            case ask(Node, show, [Backup]) of
                {ok, #{<<"vhosts">> := VHosts}} -> {ok, Object#{<<"vhosts">> => VHosts}};
                _ -> {ok, Object}
            end;
        {Shown, _} ->
            Shown
    end.

-spec list(Backup :: binary(), List :: string(), whose(), Options :: [iodata()]) ->
          {ok, [object()], Counts :: object()} | {error, rabbit_hot_backup_protocol:error()}.
%% rabbit_hot_backup_catalogue:part/3.
list(Backup, List, Whose, Options) ->
    of_part(Backup, Whose, part, [Backup, List, part_options(Backup, Whose) ++ Options]).

-spec definitions(Backup :: binary()) ->
          {ok, binary()} | {error, rabbit_hot_backup_protocol:error()}.
definitions(Backup) ->
    of_part(Backup, metadata, definitions, [Backup]).

-spec unverified(Backup :: binary()) -> none | {Node :: binary(), later | damaged}.
%% Of a cluster's backup: a node with a part that is in no repository of this node, and that it has
%% not found intact; `damaged`: it has found that it is not.
unverified(Backup) ->
    Verdicts = [{Name, verdict_of(Name, Backup)}
                || #{<<"node">> := Name, <<"state">> := State} <- parts(Backup),
                   State =/= <<"here">>],
    case {[Name || {Name, damaged} <- Verdicts], [Name || {Name, later} <- Verdicts]} of
        {[Name | _], _} -> {Name, damaged};
        {[], [Name | _]} -> {Name, later};
        {[], []} -> none
    end.

-spec verdict_of(Node :: binary(), Backup :: binary()) -> intact | damaged | later.
verdict_of(Name, Backup) ->
    case connected(Name) of
        [Node] ->
            case rpc:call(Node, ?MODULE, verdict, [Backup], ?PATIENCE) of
                Verdict when is_atom(Verdict) -> Verdict;
                {badrpc, _} -> later
            end;
        [] ->
            later
    end.

-spec verdict(Backup :: binary()) -> intact | damaged | later.
%% What the last verification in this node's repository has found.
verdict(Backup) ->
    {Backups, _} = rabbit_hot_backup_catalogue:list(),
    case [Outcome || #{<<"backup">> := Id, <<"verified">> := #{<<"outcome">> := Outcome}} <- Backups,
                     Id =:= Backup] of
        [<<"intact">>] -> intact;
        [_] -> damaged;
        [] -> later
    end.

-spec of_part(Backup :: binary(), whose(), Function :: atom(), [term()]) -> term().
of_part(Backup, Whose, Function, Arguments) ->
    case place(Backup, Whose) of
        here -> apply(rabbit_hot_backup_catalogue, Function, Arguments);
        {there, Node} -> ask(Node, Function, Arguments)
    end.

-spec ask(node(), Function :: atom(), [term()]) ->
          term() | {error, rabbit_hot_backup_protocol:error()}.
ask(Node, Function, Arguments) ->
    case rpc:call(Node, rabbit_hot_backup_catalogue, Function, Arguments, ?PATIENCE) of
        {badrpc, _} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "~ts, which has that part of the backup, does not answer", [Node],
                      "Look whether the node and its plugin run, or ask there.")};
        Answer -> Answer
    end.

-spec part_options(Backup :: binary(), whose()) -> [iodata()].
part_options(Backup, {files, Node}) ->
    [["--part=", Node] || _ <- lists:sublist(parts(Backup), 1)];
part_options(_, _) ->
    [].

-spec place(Backup :: binary(), whose()) -> here | {there, node()}.
%% What is nowhere the program here tells in its own words.
place(Backup, Whose) ->
    Named = [{Name, State} || #{<<"node">> := Name, <<"state">> := State} = Part <- parts(Backup),
                              is_wanted(Whose, Part)],
    case Named of
        [{Name, State}] when State =/= <<"here">> ->
            case connected(Name) of
                [Node] -> {there, Node};
                [] -> here
            end;
        _ ->
            here
    end.

-spec connected(Name :: binary()) -> [node()].
%% The other node of that name, if it can be asked. A name from a backup becomes no atom.
connected(Name) ->
    [Node || Node <- nodes(), atom_to_binary(Node) =:= Name].

-spec is_wanted(whose(), Part :: object()) -> boolean().
is_wanted(metadata, #{<<"metadata">> := IsThere}) -> IsThere;
is_wanted(whole, _) -> false;
is_wanted({files, Name}, #{<<"node">> := Node}) -> Name =:= Node.

-spec parts(Backup :: binary()) -> [object()].
%% None when it is of one node.
parts(Backup) ->
    {Backups, _} = rabbit_hot_backup_catalogue:list(),
    lists:append([Parts || #{<<"backup">> := Id, <<"parts">> := Parts} <- Backups, Id =:= Backup]).

%% Questions about the list of backups that only this node's own concern. What an object of the list
%% has is in docs/json.md.
-module(rabbit_hot_backup_listing).

-export([of_node/1, bootable/1, newest/1, newest_verified/1, is_verified/1]).
-export([instant/1, time/2, pause_us/1]).

-type backup() :: rabbit_hot_backup_program:object().

-spec of_node([backup()]) -> [backup()].
%% A repository may have backups of several nodes, and some that cannot be read. One of the cluster
%% is of each node that has a part in it.
of_node(Backups) ->
    Node = atom_to_binary(node()),
    lists:filter(fun(#{<<"node">> := Name}) -> Name =:= Node;
                    (#{<<"parts">> := Parts}) ->
                         lists:any(fun(#{<<"node">> := Name}) -> Name =:= Node end, Parts);
                    (_) -> false
                 end, Backups).

-spec bootable([backup()]) -> [backup()].
%% Those of the node that can be booted here: of a cluster's backup all parts have to be in this
%% repository.
bootable(Backups) ->
    [Backup || Backup <- of_node(Backups),
               lists:all(fun(#{<<"state">> := State}) -> State =:= <<"here">> end,
                         maps:get(<<"parts">>, Backup, []))].

-spec newest([backup()]) -> {ok, backup()} | none.
%% The list begins with the oldest.
newest([]) -> none;
newest(Backups) -> {ok, lists:last(Backups)}.

-spec newest_verified([backup()]) -> {ok, backup()} | none.
newest_verified(Backups) ->
    newest([Backup || Backup <- Backups, is_verified(Backup)]).

-spec is_verified(backup()) -> boolean().
%% Whether all of it was as it should be when it was looked at last.
is_verified(#{<<"verified">> := #{<<"outcome">> := <<"intact">>}}) -> true;
is_verified(_) -> false.

-spec instant(backup()) -> float().
%% What it is a backup of, in seconds of Unix time.
instant(Backup) ->
    time(<<"instant">>, Backup).

-spec time(Key :: binary(), #{binary() => term()}) -> float().
time(Key, Object) ->
    Text = binary_to_list(maps:get(Key, Object)),
    calendar:rfc3339_to_system_time(Text, [{unit, millisecond}]) / 1000.

-spec pause_us(backup()) -> {ok, non_neg_integer()} | none.
pause_us(#{<<"cut">> := #{<<"pause_us">> := Pause}}) -> {ok, Pause};
pause_us(#{<<"stop">> := #{<<"pause_us">> := Pause}}) -> {ok, Pause};
pause_us(_) -> none.

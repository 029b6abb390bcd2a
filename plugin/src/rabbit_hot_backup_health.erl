%% Whether the backups of this node are what one may rely on.
-module(rabbit_hot_backup_health).

-export([last_verified/1]).

-spec last_verified(Seconds :: pos_integer()) -> ok | {failed, Reason :: binary()}.
%% Whether there is a backup of this node that is not older than this and was found intact when it
%% was looked at last.
last_verified(Seconds) ->
    {Backups, Error} = rabbit_hot_backup_catalogue:list(),
    case rabbit_hot_backup_listing:newest_verified(rabbit_hot_backup_listing:of_node(Backups)) of
        {ok, #{<<"backup">> := Id} = Backup} ->
            Age = os:system_time(second) - floor(rabbit_hot_backup_listing:instant(Backup)),
            case Age =< Seconds of
                true -> ok;
                false -> failed("the newest verified backup of this node, ~ts, is ~ts old",
                                [Id, age(Age)])
            end;
        none when Backups =:= [], Error =/= undefined ->
            failed("the backups cannot be listed: ~ts", [maps:get(message, Error)]);
        none ->
            failed("there is no verified backup of this node", [])
    end.

-spec failed(io:format(), [term()]) -> {failed, binary()}.
failed(Format, Arguments) ->
    {failed, unicode:characters_to_binary(io_lib:format(Format, Arguments))}.

-spec age(Seconds :: integer()) -> iodata().
age(Seconds) when Seconds >= 2 * 86400 -> io_lib:format("~b days", [Seconds div 86400]);
age(Seconds) when Seconds >= 2 * 3600 -> io_lib:format("~b hours", [Seconds div 3600]);
age(Seconds) when Seconds >= 120 -> io_lib:format("~b minutes", [Seconds div 60]);
age(Seconds) -> io_lib:format("~b seconds", [Seconds]).

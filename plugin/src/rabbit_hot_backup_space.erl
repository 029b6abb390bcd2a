%% Whether there is as much free space as a scheduled backup is to leave.
-module(rabbit_hot_backup_space).

-export([check/0]).

-spec check() -> ok | {error, rabbit_hot_backup_protocol:error()}.
%% Where it is not known, the backup looks for itself whether it has space.
check() ->
    case rabbit_hot_backup_catalogue:space() of
        {ok, #{free_bytes := Free, total_bytes := Total}} ->
            Needed = case rabbit_hot_backup_settings:min_free_space() of
                         {percent, Percent} -> Total * Percent div 100;
                         Bytes -> Bytes
                     end,
            case Free >= Needed of
                true -> ok;
                false -> {error, too_little(Free, Needed)}
            end;
        unknown ->
            ok
    end.

-spec too_little(non_neg_integer(), non_neg_integer()) -> rabbit_hot_backup_protocol:error().
too_little(Free, Needed) ->
    rabbit_hot_backup_protocol:error(
      failed, "~b MB are free in ~ts, and min_free_space wants ~b MB",
      [Free div 1000000, rabbit_hot_backup_settings:repository(), Needed div 1000000],
      "Delete backups, keep fewer of them (hot_backup.retention), or take a larger disk.").

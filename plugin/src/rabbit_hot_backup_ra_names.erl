%% The names of the Ra servers of the node, in memory and on disc.
%%
%% Without its name in the file a quorum queue is begun anew at the next start of the node, although
%% its log is there. So a backup writes the names down before the node is stopped, and looks within
%% the stop and after it whether others came.
-module(rabbit_hot_backup_ra_names).

-export([flush/1, is_unchanged/1, is_confirmed/1]).

-export_type([names/0]).

-opaque names() :: [{Table :: ets:tab(), Size :: integer(), Digest :: integer()}].

-spec flush(Patience :: non_neg_integer()) -> names().
%% A server is entered in the ETS table first and in the Dets table then. So the first is read, the
%% second waited for until it has them all, for so many milliseconds, and then synced: what comes
%% later shows in the first.
flush(Patience) ->
    [flush(Directory, now_ms() + Patience)
     || Directory <- rabbit_hot_backup_compat:ra_directories()].

-spec is_unchanged(names()) -> boolean().
%% Reads of ETS tables and nothing else, for it is called while the whole node is held.
is_unchanged(Names) ->
    lists:all(fun({Table, Size, _}) -> ets:info(Table, size) =:= Size end, Names).

-spec is_confirmed(names()) -> boolean().
%% To be asked after the hold, for is_unchanged/1 has not seen a name that came while another one
%% went. What has changed since the hold makes it say no as well: then there is another attempt.
is_confirmed(Names) ->
    lists:all(fun({Table, _, Digest}) -> digest(names(Table)) =:= Digest end, Names).

-spec flush({ets:tab(), dets:tab_name()}, Deadline :: integer()) ->
          {ets:tab(), Size :: integer(), Digest :: integer()}.
flush({Table, File}, Deadline) ->
    Names = names(Table),
    ok = await_names([Name || {_, Name} <- Names], File, Deadline),
    ok = dets:sync(File),
    {Table, length(Names), digest(Names)}.

-spec names(ets:tab()) -> [{UId :: binary(), Name :: atom()}].
names(Table) ->
    ets:select(Table, [{{'$1', '_', '_', '$2', '_'}, [], [{{'$1', '$2'}}]}]).

-spec digest([{binary(), atom()}]) -> integer().
digest(Names) ->
    erlang:phash2(lists:sort(Names)).

-spec await_names([atom()], dets:tab_name(), Deadline :: integer()) -> ok.
await_names(Names, File, Deadline) ->
    Written = dets:select(File, [{{'$1', '_'}, [], ['$1']}]),
    case ordsets:subtract(ordsets:from_list(Names), ordsets:from_list(Written)) of
        [] ->
            ok;
        Missing ->
            case now_ms() < Deadline of
                true ->
                    receive after 5 -> await_names(Missing, File, Deadline) end;
                false ->
                    %% They have no name in the file at all, and the node would not start them
                    %% again either.
                    rabbit_hot_backup_compat:log(
                      warning, "Ra servers without an entry in ~tp: ~tp", [File, Missing])
            end
    end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

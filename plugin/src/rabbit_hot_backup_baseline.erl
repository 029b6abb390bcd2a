%% What the node has written down of its metadata when a checkpoint is given away, and whether it
%% has committed anything since.
%%
%% A backup takes the node's files at one instant and the metadata from a checkpoint that is a
%% little older. They are of the same instant if nothing was committed in between. Two things can
%% be: a commit of Mnesia, and a Ra server's name (without it a quorum queue is begun anew at the
%% next start, although its log is there).
-module(rabbit_hot_backup_baseline).

-include_lib("kernel/include/file.hrl").

-export([commits/0, flush/1, log/1, is_unchanged/1, is_confirmed/1]).

-export_type([commits/0, baseline/0]).

-opaque commits() :: {Counted :: integer(), Left :: integer()}.

-record(baseline, {commits :: commits(),
                   log = #{} :: log(),
                   names = [] :: [{Table :: ets:tab(), Size :: integer(), Digest :: integer()}]}).

-opaque baseline() :: #baseline{}.

-type log() :: #{log => #{path := binary(), size := non_neg_integer(), inode := integer()}}.
%% Of Mnesia's log when all that was committed was in it; none of a node without a disc. A commit is
%% in the log a moment before it is counted. So the engine compares the file as well, in the hold.

%% How long a Ra server's name may be on its way from memory to the file.
-define(REGISTRATION, 2000).

-spec commits() -> commits().
%% Read it before the checkpoint is activated.
%%
%% mnesia_log:log/1 and slog/1 count every commit that concerns a disc table or the schema, and no
%% other (need_log/1), before it becomes visible in the tables, but after it went to the log:
%% do_dirty/2 of mnesia_tm for dirty operations and transactions, multi_commit/5 for synchronous and
%% schema transactions, doit_loop/1 and commit_participant/7 for what another node coordinates
%% (OTP 25, mnesia 4.21.3). The count is kept in two counters: mnesia_dumper:incr_log_writes/0
%% takes from `trans_log_writes_left`, and only once that is used up (or when the log is dumped)
%% does it go to `trans_log_writes`. One of them alone says nothing; that a dump may move them
%% without a commit costs no more than another attempt. What is counted before and visible after the activation is a commit in flight, which
%% rabbit_hot_backup_checkpoints waits for. (Not for a dirty operation: one that did not get on from
%% the count to the table for as long as all this takes would escape.)
commits() ->
    {mnesia_lib:read_counter(trans_log_writes), mnesia_lib:read_counter(trans_log_writes_left)}.

-spec flush(commits()) -> {ok, baseline()} | {error, rabbit_hot_backup_protocol:error()}.
%% Has everything written to the files that is in the checkpoint.
%%
%% The decisions of schema transactions are logged by mnesia_recover, asynchronously: it is asked
%% first. disk_log then writes what it buffers (for up to 2 s) and syncs it: writers of the log wait
%% for one fsync, as they do after each transaction of RabbitMQ's that changes a disc table.
%% (mnesia:sync_log/0 does the same from within mnesia_monitor, which others would wait for, too.)
flush(Commits) ->
    case mnesia_recover:sync() of
        {error, Reason} -> not_flushed(Reason);
        _ ->
            case sync_log(mnesia:system_info(use_dir)) of
                {ok, Log} ->
                    Names = [flush_names(Directory)
                             || Directory <- rabbit_hot_backup_compat:ra_directories()],
                    {ok, #baseline{commits = Commits, log = Log, names = Names}};
                {error, Reason} ->
                    not_flushed(Reason)
            end
    end.

-spec is_unchanged(baseline()) -> boolean().
%% Reads of ETS tables and nothing else, for it is called while the whole node is held.
is_unchanged(#baseline{commits = Commits, names = Names}) ->
    commits() =:= Commits
        andalso lists:all(fun({Table, Size, _}) -> ets:info(Table, size) =:= Size end, Names).

-spec is_confirmed(baseline()) -> boolean().
%% To be asked after the hold, for is_unchanged/1 has not seen a name that came while another one
%% went. What has changed since the hold makes it say no as well: then there is another attempt.
is_confirmed(#baseline{names = Names}) ->
    lists:all(fun({Table, _, Digest}) -> digest(names(Table)) =:= Digest end, Names).

-spec log(baseline()) -> log().
log(#baseline{log = Log}) ->
    Log.

-spec sync_log(boolean()) -> {ok, log()} | {error, term()}.
%% A node without a disc has no log.
sync_log(true) ->
    Path = filename:join(mnesia:system_info(directory), "LATEST.LOG"),
    case disk_log:sync(latest_log) of
        ok ->
            case file:read_file_info(Path) of
                {ok, #file_info{size = Size, inode = Inode}} ->
                    {ok, #{log => #{path => rabbit_hot_backup_compat:path(Path), size => Size,
                                    inode => Inode}}};
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end;
sync_log(false) ->
    {ok, #{}}.

-spec not_flushed(term()) -> {error, rabbit_hot_backup_protocol:error()}.
not_flushed(Reason) ->
    {error, rabbit_hot_backup_protocol:error(
              failed, "Mnesia could not write its log: ~tp", [Reason],
              "Look at the disk that the node's data directory is on.")}.

%% ------------------------------------------------------------------
%% Names of Ra servers

%% A server is entered in the ETS table first and in the Dets table then. So the first is read, the
%% second waited for until it has them all, and then synced: what comes later shows in the first.
-spec flush_names({ets:tab(), dets:tab_name()}) ->
          {ets:tab(), Size :: integer(), Digest :: integer()}.
flush_names({Table, File}) ->
    Names = names(Table),
    ok = await_names([Name || {_, Name} <- Names], File, now_ms() + ?REGISTRATION),
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

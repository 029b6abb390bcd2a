%% What the node has written down of its metadata when a checkpoint is given away, and whether it
%% has committed anything since.
%%
%% A backup takes the node's files at one instant and the metadata from a checkpoint that is a
%% little older. They are of the same instant if nothing was committed in between. Two things can
%% be: a commit of Mnesia, and a Ra server's name (rabbit_hot_backup_ra_names).
-module(rabbit_hot_backup_baseline).

-include_lib("kernel/include/file.hrl").

-export([commits/0, flush/1, flush_log/0, log/1, is_unchanged/1, is_confirmed/1]).
-export([confirm/2]).

-export_type([commits/0, baseline/0]).

-opaque commits() :: {Counted :: integer(), Left :: integer()}.

-record(baseline, {commits :: commits(),
                   log = #{} :: log(),
                   names :: rabbit_hot_backup_ra_names:names()}).

-opaque baseline() :: #baseline{}.

-type log() :: #{log => #{path := binary(), size := non_neg_integer(), inode := integer()}}.
%% Of Mnesia's log when all that was committed was in it; none of a node without a disc, or without
%% Mnesia. A commit is
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
            case flush_log() of
                {ok, Log} ->
                    {ok, #baseline{commits = Commits, log = Log,
                                   names = rabbit_hot_backup_ra_names:flush(?REGISTRATION)}};
                {error, Error} ->
                    {error, Error}
            end
    end.

-spec flush_log() -> {ok, log()} | {error, rabbit_hot_backup_protocol:error()}.
%% Of a node whose metadata is in Khepri, too: before 4.3 Mnesia runs there, and plugins may have
%% tables in it.
flush_log() ->
    case mnesia:system_info(is_running) =:= yes andalso mnesia:system_info(use_dir) of
        true ->
            case sync_log() of
                {ok, Log} -> {ok, Log};
                {error, Reason} -> not_flushed(Reason)
            end;
        false ->
            {ok, #{}}
    end.

-spec is_unchanged(baseline()) -> boolean().
%% Reads of ETS tables and nothing else, for it is called while the whole node is held.
is_unchanged(#baseline{commits = Commits, names = Names}) ->
    commits() =:= Commits
        andalso rabbit_hot_backup_ra_names:is_unchanged(Names).

-spec is_confirmed(baseline()) -> boolean().
%% To be asked after the hold, for what is_unchanged/1 cannot see in it.
is_confirmed(#baseline{names = Names}) ->
    rabbit_hot_backup_ra_names:is_confirmed(Names).

-spec confirm(rabbit_hot_backup_holder:held(), baseline()) -> rabbit_hot_backup_holder:held().
%% The same, with what came of the hold.
confirm(#{outcome := held} = Held, Baseline) ->
    case is_confirmed(Baseline) of
        true -> Held;
        false -> Held#{outcome := committed}
    end;
confirm(Held, _) ->
    Held.

-spec log(baseline()) -> log().
log(#baseline{log = Log}) ->
    Log.

-spec sync_log() -> {ok, log()} | {error, term()}.
sync_log() ->
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
    end.

-spec not_flushed(term()) -> {error, rabbit_hot_backup_protocol:error()}.
not_flushed(Reason) ->
    {error, rabbit_hot_backup_protocol:error(
              failed, "Mnesia could not write its log: ~tp", [Reason],
              "Look at the disk that the node's data directory is on.")}.

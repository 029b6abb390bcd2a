%% What an engine may ask for: docs/protocol.md, "Engine to plugin".
%%
%% Each operation becomes a plan, which the session carries out: an answer at once, work for a
%% worker because it may take a while, or a stream. The arguments are checked here.
-module(rabbit_hot_backup_operations).

-export([plan/3, start_run/2]).

-export_type([answer/0, plan/0]).

-type answer() :: {ok, Result :: rabbit_hot_backup_protocol:details(), changes()}
                | {error, rabbit_hot_backup_protocol:error()}.

-type changes() :: #{job => rabbit_hot_backup_jobs:id() | undefined,
                     checkpoint => rabbit_hot_backup_metadata:checkpoint() | undefined}.
%% What the session holds from now on.

-type plan() :: {now, answer()}
              | {later, fun(() -> answer())}
              | {stream, rabbit_hot_backup_protocol:stream_id()}
              | {end_checkpoint, fun(() -> answer())}.

-spec plan(atom() | {unknown, binary()}, rabbit_hot_backup_protocol:details(), Session :: pid()) ->
          plan().
plan(job_begin, #{kind := backup, repository := Repository} = Arguments, Session)
  when is_binary(Repository) ->
    case rabbit_hot_backup_jobs:begin_job(
           Session, maps:with([kind, repository, job], Arguments)) of
        {ok, Id} -> {now, {ok, #{job => Id}, #{job => Id}}};
        {error, Error} -> {now, {error, Error}}
    end;
plan(job_end, #{job := Id, outcome := Outcome} = Arguments, Session)
  when Outcome =:= done; Outcome =:= failed; Outcome =:= cancelled ->
    case outcome(Arguments) of
        {ok, Details} ->
            case rabbit_hot_backup_jobs:end_job(Session, Id, Outcome, Details) of
                ok -> {now, {ok, #{}, #{job => undefined}}};
                {error, Error} -> {now, {error, Error}}
            end;
        error ->
            bad_arguments(job_end)
    end;
plan(describe, _, _) ->
    {later, fun() -> {ok, rabbit_hot_backup_describe:describe(), #{}} end};
plan(checkpoint_begin, _, Session) ->
    {later, fun() -> begin_checkpoint(rabbit_hot_backup_compat:metadata_store(), Session) end};
plan(checkpoint_stream, #{stream := Stream}, _) when is_integer(Stream), Stream >= 0 ->
    {stream, Stream};
plan(checkpoint_end, _, Session) ->
    {end_checkpoint, fun() ->
                             ok = rabbit_hot_backup_checkpoints:deactivate(Session),
                             {ok, #{}, #{checkpoint => undefined}}
                     end};
plan(Operation, _, _)
  when Operation =:= job_begin; Operation =:= job_end; Operation =:= checkpoint_stream ->
    bad_arguments(Operation);
plan({unknown, Name}, _, _) ->
    unsupported(Name);
plan(Operation, _, _) ->
    unsupported(atom_to_binary(Operation)).

-spec bad_arguments(atom()) -> plan().
bad_arguments(Operation) ->
    {now, {error, rabbit_hot_backup_protocol:error(
                    failed, "the arguments of ~ts are not those of the protocol", [Operation])}}.

-spec unsupported(binary()) -> plan().
unsupported(Operation) ->
    {now, {error, rabbit_hot_backup_protocol:error(
                    unsupported, "the operation ~ts is not known", [Operation],
                    "Upgrade the plugin rabbitmq_hot_backup.")}}.

-spec outcome(rabbit_hot_backup_protocol:details()) ->
          {ok, rabbit_hot_backup_protocol:details()} | error.
outcome(#{outcome := done, backup := Backup, bytes := Bytes})
  when is_binary(Backup), is_integer(Bytes) ->
    {ok, #{backup => Backup, bytes => Bytes}};
outcome(#{outcome := Outcome, error := #{message := Message} = Error} = Arguments)
  when Outcome =/= done, is_binary(Message) ->
    Known = rabbit_hot_backup_protocol:known_error(Error),
    {ok, (maps:with([bytes], Arguments))#{error => Known}};
outcome(_) ->
    error.

%% ------------------------------------------------------------------
%% Checkpoints

-spec begin_checkpoint(mnesia | khepri, pid()) -> answer().
begin_checkpoint(mnesia, Session) ->
    {Tables, Skipped} = rabbit_hot_backup_metadata:tables(),
    case rabbit_hot_backup_checkpoints:activate(Session, Tables) of
        {ok, #{name := Name, instant := Instant, activation_us := Duration}} ->
            Result = #{checkpoint => readable(Name),
                       store => mnesia,
                       tables => [atom_to_binary(Table) || Table <- Tables],
                       skipped => Skipped,
                       instant => Instant,
                       activation_us => Duration},
            {ok, Result, #{checkpoint => {mnesia, Name}}};
        {error, Error} ->
            {error, Error}
    end;
begin_checkpoint(khepri, _) ->
    %% The export is one query of the store's state: nothing has to be held before.
    Result = #{checkpoint => <<"export of the Khepri store">>,
               store => khepri,
               tables => [],
               skipped => [],
               instant => os:system_time(microsecond),
               activation_us => 0},
    {ok, Result, #{checkpoint => khepri}}.

-spec readable(rabbit_hot_backup_checkpoints:name()) -> binary().
readable({Plugin, Node, {Time, _}}) ->
    iolist_to_binary(io_lib:format("~ts ~ts ~b", [Plugin, Node, Time])).

-spec start_run(rabbit_hot_backup_metadata:checkpoint(), Session :: pid()) -> {pid(), reference()}.
%% Starts the process that reads a checkpoint and hands it to the session. It exits with `complete`
%% or with `{failed, Error}`.
start_run(Checkpoint, Session) ->
    spawn_monitor(fun() -> exit(run(Checkpoint, Session)) end).

-spec run(rabbit_hot_backup_metadata:checkpoint(), pid()) ->
          complete | {failed, rabbit_hot_backup_protocol:error()}.
run(Checkpoint, Session) ->
    Run = self(),
    HandOver = fun(What) -> hand_over(Checkpoint, {hand_over, Run, What}, Session) end,
    case rabbit_hot_backup_metadata:run(Checkpoint, HandOver) of
        ok -> complete;
        {error, Reason} ->
            {failed, rabbit_hot_backup_protocol:error(
                       failed, "reading the checkpoint failed: ~tp", [Reason])}
    end.

-spec hand_over(rabbit_hot_backup_metadata:checkpoint(),
                {hand_over, Run :: pid(), rabbit_hot_backup_metadata:delivery()},
                Session :: pid()) -> ok | {error, term()}.
%% Mnesia is read as fast as the engine acknowledges: the call returns when the payload has left.
%% Khepri calls us inside its Ra server, which must not wait for an engine: there the payloads
%% queue up in the session. The price is memory of the size of the export; nothing but stalling
%% the store avoids it. An export that nobody wants any more ends with an error.
hand_over({mnesia, _}, Message, Session) ->
    try
        gen_server:call(Session, Message, infinity)
    catch
        exit:_ -> {error, session_ended}
    end;
hand_over(khepri, {hand_over, Run, _} = Message, Session) ->
    case is_gone(Run) orelse is_gone(Session) of
        true -> {error, session_ended};
        false -> gen_server:cast(Session, Message)
    end.

-spec is_gone(pid()) -> boolean().
%% The store may call us on another node, where this cannot be seen.
is_gone(Pid) ->
    node(Pid) =:= node() andalso not is_process_alive(Pid).

%% What an engine may ask for: docs/protocol.md, "Engine to plugin".
%%
%% Each operation becomes a plan, which the session carries out: an answer at once, work for a
%% worker because it may take a while, or a stream. The arguments are checked here.
-module(rabbit_hot_backup_operations).

-export([plan/3, bad_arguments/1, start_run/2, unreadable/1]).

-export_type([context/0, answer/0, plan/0, checkpoint/0, source/0]).

-type context() :: #{session := pid(),
                     holder := pid(),
                     part := rabbit_hot_backup_part:id() | undefined,
                     checkpoint := checkpoint() | undefined}.
%% Who asks, what it is a part of, and what it holds.

-type checkpoint() :: {mnesia, rabbit_hot_backup_checkpoints:name(),
                       rabbit_hot_backup_baseline:baseline(),
                       rabbit_hot_backup_table_locks:locks()}
                    | {khepri, rabbit_hot_backup_khepri_checkpoint:checkpoint()}
                    | {part, rabbit_hot_backup_part_checkpoint:checkpoint()}.

-type source() :: {checkpoint, {mnesia, rabbit_hot_backup_checkpoints:name()}
                             | {khepri, rabbit_hot_backup_khepri_checkpoint:checkpoint()}}
                | statistics
                | {inventory, Timeout :: pos_integer()}.
%% What can be streamed.

-type answer() :: {ok, Result :: rabbit_hot_backup_protocol:details(), changes()}
                | {error, rabbit_hot_backup_protocol:error()}.

-type changes() :: #{job => rabbit_hot_backup_jobs:id() | undefined,
                     part => rabbit_hot_backup_part:id() | undefined,
                     checkpoint => checkpoint() | undefined}.
%% What the session holds from now on.

-type plan() :: {now, answer()}
              | {later, fun(() -> answer())}
              | {stream, rabbit_hot_backup_protocol:stream_id(), source()}
              | {end_checkpoint, fun(() -> answer())}.

%% The longest hold, in microseconds, whatever is asked for: clients would take the node for dead.
-define(LONGEST_PAUSE, 10 * 1000 * 1000).

%% The longest time that a queue gets to say what it holds, in milliseconds: the stream must not
%% stand still for so long that it is given up.
-define(LONGEST_INQUIRY, 10 * 1000).

-spec plan(atom() | {unknown, binary()}, rabbit_hot_backup_protocol:details(), context()) ->
          plan().
plan(job_begin, #{kind := backup, repository := Repository} = Arguments, #{session := Session})
  when is_binary(Repository) ->
    case rabbit_hot_backup_jobs:begin_job(
           Session, maps:with([kind, repository, job], Arguments)) of
        {ok, Id} ->
            Part = rabbit_hot_backup_part:of_job(Id),
            Settings = #{max_pause => rabbit_hot_backup_settings:max_pause(),
                         rate_limit => rabbit_hot_backup_settings:rate_limit()},
            {now, {ok, maps:merge(Settings#{job => Id}, maps:with([max_pause, rate_limit], Part)),
                   #{job => Id, part => maps:get(cluster_backup, Part, undefined)}}};
        {error, Error} -> {now, {error, Error}}
    end;
plan(job_end, #{job := Id, outcome := Outcome} = Arguments, #{session := Session, part := Part})
  when Outcome =:= done; Outcome =:= failed; Outcome =:= cancelled ->
    case outcome(Arguments) of
        {ok, Details} ->
            case rabbit_hot_backup_jobs:end_job(Session, Id, Outcome, whole(Part, Details)) of
                ok -> {now, {ok, #{}, #{job => undefined, part => undefined}}};
                {error, Error} -> {now, {error, Error}}
            end;
        error ->
            bad_arguments(job_end)
    end;
plan(describe, _, _) ->
    {later, fun() -> {ok, rabbit_hot_backup_describe:describe(), #{}} end};
plan(checkpoint_begin, Arguments, #{session := Session, part := Part, checkpoint := undefined})
  when Part =/= undefined ->
    Lock = maps:get(lock, Arguments, false) =:= true,
    {later, fun() -> rabbit_hot_backup_part_checkpoint:start(Part, Session, Lock) end};
plan(checkpoint_begin, Arguments, #{session := Session, checkpoint := undefined}) ->
    Lock = maps:get(lock, Arguments, false) =:= true,
    {later, fun() ->
                    begin_checkpoint(rabbit_hot_backup_compat:metadata_store(), Session, Lock)
            end};
plan(checkpoint_begin, _, _) ->
    {now, {error, rabbit_hot_backup_protocol:error(
                    busy, "this session has a checkpoint already", [],
                    "End it before another one is begun.")}};
plan(stop, #{max_pause := MaxPause}, Context) when is_integer(MaxPause), MaxPause > 0 ->
    plan_stop(min(MaxPause, ?LONGEST_PAUSE), Context);
plan(checkpoint_stream, #{stream := Stream}, #{checkpoint := Checkpoint})
  when is_integer(Stream), Stream >= 0 ->
    case Checkpoint of
        undefined -> failed("there is no checkpoint to stream");
        {mnesia, Name, _, _} -> {stream, Stream, {checkpoint, {mnesia, Name}}};
        {khepri, _} -> {stream, Stream, {checkpoint, Checkpoint}};
        {part, Taken} -> stream_of_part(Stream, rabbit_hot_backup_part_checkpoint:source(Taken))
    end;
plan(statistics_stream, #{stream := Stream}, _) when is_integer(Stream), Stream >= 0 ->
    {stream, Stream, statistics};
plan(inventory_stream, #{stream := Stream, timeout := Timeout}, _)
  when is_integer(Stream), Stream >= 0, is_integer(Timeout), Timeout > 0 ->
    {stream, Stream, {inventory, min(Timeout, ?LONGEST_INQUIRY)}};
plan(checkpoint_end, _, #{session := Session, checkpoint := Checkpoint}) ->
    {end_checkpoint, fun() ->
                             ok = release(Checkpoint),
                             ok = rabbit_hot_backup_checkpoints:deactivate(Session),
                             {ok, #{}, #{checkpoint => undefined}}
                     end};
plan(definition_rules, _, _) ->
    {now, {ok, #{policy_keys => rabbit_hot_backup_compat:policy_keys(),
                 refused_arguments => rabbit_hot_backup_compat:refused_arguments()}, #{}}};
plan(import_definitions, #{json := Json}, _) when is_binary(Json) ->
    {later, fun() -> import_definitions(Json) end};
plan(Operation, Arguments, #{session := Session})
  when Operation =:= deliver_begin; Operation =:= deliver_part; Operation =:= deliver;
       Operation =:= deliver_end ->
    plan_delivery(Operation, Arguments, Session);
plan(Operation, Arguments, #{part := Part})
  when Operation =:= part_ready; Operation =:= part_prepared; Operation =:= cluster_published;
       Operation =:= cluster_begin; Operation =:= cluster_status; Operation =:= cluster_cancel ->
    rabbit_hot_backup_cluster_operations:plan(Operation, Arguments, Part);
plan(Operation, _, _)
  when Operation =:= job_begin; Operation =:= job_end; Operation =:= stop;
       Operation =:= checkpoint_stream; Operation =:= statistics_stream;
       Operation =:= inventory_stream;
       Operation =:= import_definitions ->
    bad_arguments(Operation);
plan({unknown, Name}, _, _) ->
    unsupported(Name);
plan(Operation, _, _) ->
    unsupported(atom_to_binary(Operation)).

-spec stream_of_part(rabbit_hot_backup_protocol:stream_id(), source() | none) -> plan().
stream_of_part(_, none) -> failed("the metadata is in the part of another node");
stream_of_part(Stream, Source) -> {stream, Stream, Source}.

-spec bad_arguments(atom()) -> plan().
bad_arguments(Operation) ->
    {now, {error, rabbit_hot_backup_protocol:error(
                    failed, "the arguments of ~ts are not those of the protocol", [Operation])}}.

-spec failed(string()) -> plan().
failed(Message) ->
    {now, {error, rabbit_hot_backup_protocol:error(failed, Message)}}.

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

-spec whole(rabbit_hot_backup_part:id() | undefined, rabbit_hot_backup_protocol:details()) ->
          rabbit_hot_backup_protocol:details().
%% A part is no backup by itself: what was made is that of the cluster.
whole(Part, #{backup := _} = Details) when Part =/= undefined -> Details#{backup := Part};
whole(_, Details) -> Details.

%% ------------------------------------------------------------------
%% Restoring

-spec import_definitions(binary()) -> answer().
import_definitions(Json) ->
    case rabbit_hot_backup_compat:import_definitions(Json) of
        ok ->
            check_queues(Json);
        {error, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "definitions could not be declared: ~ts", [reason(Reason)],
                      "See the log of the node.")}
    end.

-spec check_queues(binary()) -> answer().
%% RabbitMQ's import does not look whether a queue was refused.
check_queues(Json) ->
    Queues = maps:get(<<"queues">>, rabbit_hot_backup_compat:decode_json(Json), []),
    case [Queue || #{<<"vhost">> := VHost, <<"name">> := Name} = Queue <- Queues,
                   not rabbit_hot_backup_compat:is_queue(VHost, Name)] of
        [] ->
            {ok, #{}, #{}};
        [#{<<"vhost">> := VHost, <<"name">> := Name} | _] ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "queue ~ts in vhost ~ts was refused by RabbitMQ's import",
                      [Name, VHost],
                      "Declare it as it is to be, and restore again; the node says what it "
                      "refuses. Or leave it out.")}
    end.

-spec reason(term()) -> iodata().
reason(Reason) when is_binary(Reason) -> Reason;
reason(Reason) -> io_lib:format("~tp", [Reason]).

-spec plan_delivery(atom(), rabbit_hot_backup_protocol:details(), Session :: pid()) -> plan().
plan_delivery(Operation, Arguments, Session) ->
    case {Operation, key(Arguments), Arguments} of
        {deliver_begin, {ok, Key}, #{position := Position}}
          when is_integer(Position), Position >= 0 ->
            {later, fun() ->
                            delivered(rabbit_hot_backup_delivery:open(Key, Session, Position))
                    end};
        {deliver_part, {ok, Key}, #{position := Position, body := Body}} when is_binary(Body) ->
            {later, fun() ->
                            delivered(rabbit_hot_backup_delivery:append_part(
                                        Key, Session, Position, Body))
                    end};
        {deliver, {ok, Key}, #{position := Position, messages := Messages}} ->
            case is_list(Messages) andalso lists:all(fun is_message/1, Messages) of
                true ->
                    {later, fun() ->
                                    delivered(rabbit_hot_backup_delivery:deliver(
                                                Key, Session, Position, Messages))
                            end};
                false ->
                    bad_arguments(Operation)
            end;
        {deliver_end, {ok, Key}, _} ->
            {later, fun() -> delivered(rabbit_hot_backup_delivery:close(Key, Session)) end};
        _ ->
            bad_arguments(Operation)
    end.

-spec key(rabbit_hot_backup_protocol:details()) -> {ok, rabbit_hot_backup_delivery:key()} | error.
key(#{transfer := Transfer, vhost := VHost, queue := Queue})
  when is_binary(Transfer), is_binary(VHost), is_binary(Queue) ->
    {ok, {Transfer, VHost, Queue}};
key(_) ->
    error.

-spec is_message(term()) -> boolean().
is_message({Exchange, RoutingKey, Properties, Body}) ->
    is_binary(Exchange) andalso is_binary(RoutingKey) andalso is_binary(Properties)
        andalso is_binary(Body);
is_message(_) ->
    false.

-spec delivered(ok | {ok, map()} | {error, rabbit_hot_backup_protocol:error()}) -> answer().
delivered(ok) -> {ok, #{}, #{}};
delivered({ok, Result}) -> {ok, Result, #{}};
delivered({error, Error}) -> {error, Error}.

%% ------------------------------------------------------------------
%% Checkpoints

-spec begin_checkpoint(mnesia | khepri, pid(), Lock :: boolean()) -> answer().
begin_checkpoint(mnesia, Session, Lock) ->
    {Tables, Skipped} = rabbit_hot_backup_metadata:tables(),
    Locks = case Lock of
                true -> rabbit_hot_backup_table_locks:take(Tables, Session);
                false -> none
            end,
    case rabbit_hot_backup_checkpoints:activate(Session, Tables) of
        {ok, #{name := Name, instant := Instant, activation_us := Duration,
               baseline := Baseline}} ->
            Result = (rabbit_hot_backup_baseline:log(Baseline))
                     #{checkpoint => rabbit_hot_backup_checkpoints:readable(Name),
                       store => mnesia,
                       tables => [atom_to_binary(Table) || Table <- Tables],
                       skipped => Skipped,
                       instant => Instant,
                       activation_us => Duration},
            {ok, Result, #{checkpoint => {mnesia, Name, Baseline, Locks}}};
        {error, Error} ->
            ok = rabbit_hot_backup_table_locks:release(Locks),
            {error, Error}
    end;
begin_checkpoint(khepri, _, _) ->
    Start = erlang:monotonic_time(microsecond),
    case rabbit_hot_backup_khepri_checkpoint:start() of
        {ok, Checkpoint} ->
            Result = #{checkpoint => <<"export of the Khepri store">>,
                       store => khepri,
                       tables => [],
                       skipped => [],
                       instant => os:system_time(microsecond),
                       activation_us => erlang:monotonic_time(microsecond) - Start},
            {ok, Result, #{checkpoint => {khepri, Checkpoint}}};
        {error, Error} ->
            {error, Error}
    end.

-spec release(checkpoint() | undefined) -> ok.
%% But for what rabbit_hot_backup_checkpoints owns.
release({mnesia, _, _, Locks}) -> rabbit_hot_backup_table_locks:release(Locks);
release({khepri, Checkpoint}) -> rabbit_hot_backup_khepri_checkpoint:release(Checkpoint);
release({part, Checkpoint}) -> rabbit_hot_backup_part_checkpoint:release(Checkpoint);
release(undefined) -> ok.

%% ------------------------------------------------------------------
%% The stop

-spec plan_stop(pos_integer(), context()) -> plan().
plan_stop(_, #{checkpoint := undefined}) ->
    failed("there is no checkpoint to stop for");
plan_stop(MaxPause, #{checkpoint := {part, Checkpoint}, part := Part} = Context)
  when Part =/= undefined ->
    {later, fun() -> rabbit_hot_backup_part_checkpoint:stop(MaxPause, Checkpoint, Context) end};
plan_stop(_, #{checkpoint := {part, _}}) ->
    failed("the part of the cluster backup is over");
plan_stop(MaxPause, #{checkpoint := {khepri, Checkpoint}, session := Session,
                      holder := Holder}) ->
    Hold = fun(_, Unchanged) ->
                   rabbit_hot_backup_holder:hold(Holder, #{max_pause => MaxPause}, Unchanged)
           end,
    {later, fun() ->
                    case rabbit_hot_backup_khepri_checkpoint:stop(MaxPause, Checkpoint, Session,
                                                                  Hold) of
                        {ok, Held, Stopped} ->
                            rabbit_hot_backup_holder:log(Held),
                            {ok, Held, #{checkpoint => {khepri, Stopped}}};
                        {error, Error} ->
                            {error, Error}
                    end
            end};
plan_stop(MaxPause, #{checkpoint := {mnesia, _, Baseline, _} = Checkpoint, holder := Holder}) ->
    {later, fun() ->
                    Answer = stop(MaxPause, Baseline, Holder),
                    ok = needs_no_locks(Answer, Checkpoint),
                    Answer
            end}.

-spec needs_no_locks(answer(), checkpoint()) -> ok.
%% The image is taken, or the checkpoint is of no use any more. Otherwise there may be another stop.
needs_no_locks({ok, #{outcome := Outcome}, _}, Checkpoint)
  when Outcome =:= held; Outcome =:= committed ->
    release(Checkpoint);
needs_no_locks(_, _) ->
    ok.

-spec stop(pos_integer(), rabbit_hot_backup_baseline:baseline(), pid()) -> answer().
%% What is of no use already costs the node no pause.
stop(MaxPause, Baseline, Holder) ->
    Unchanged = fun() -> rabbit_hot_backup_baseline:is_unchanged(Baseline) end,
    case Unchanged() of
        true -> stop(MaxPause, Baseline, Holder, Unchanged);
        false -> {ok, rabbit_hot_backup_holder:not_held(committed), #{}}
    end.

-spec stop(pos_integer(), rabbit_hot_backup_baseline:baseline(), pid(),
           rabbit_hot_backup_holder:unchanged()) -> answer().
stop(MaxPause, Baseline, Holder, Unchanged) ->
    case rabbit_hot_backup_holder:hold(Holder, #{max_pause => MaxPause}, Unchanged) of
        {ok, Held} ->
            Judged = rabbit_hot_backup_baseline:confirm(Held, Baseline),
            rabbit_hot_backup_holder:log(Judged),
            {ok, Judged, #{}};
        {error, Error} ->
            {error, Error}
    end.

%% ------------------------------------------------------------------
%% Streams

-spec start_run(source(), Session :: pid()) -> {pid(), reference()}.
%% Starts the process that reads a source and hands it to the session. It exits with `complete` or
%% with `{failed, Error}`.
start_run(Source, Session) ->
    spawn_monitor(fun() -> exit(run(Source, Session)) end).

-spec run(source(), pid()) -> complete | {failed, rabbit_hot_backup_protocol:error()}.
run(Source, Session) ->
    Run = self(),
    HandOver = fun(What) -> hand_over({hand_over, Run, What}, Session) end,
    Read = case Source of
               {checkpoint, {mnesia, _} = Checkpoint} ->
                   rabbit_hot_backup_metadata:run(Checkpoint, HandOver);
               {checkpoint, {khepri, Checkpoint}} ->
                   rabbit_hot_backup_khepri_checkpoint:read(Checkpoint, HandOver);
               statistics -> rabbit_hot_backup_statistics:run(HandOver);
               {inventory, Timeout} -> rabbit_hot_backup_inventory:run(Timeout, HandOver)
           end,
    case Read of
        ok -> complete;
        {error, Reason} -> {failed, unreadable(Reason)}
    end.

-spec unreadable(term()) -> rabbit_hot_backup_protocol:error().
unreadable(Reason) ->
    rabbit_hot_backup_protocol:error(
      failed, "reading what is streamed failed: ~tp", [Reason],
      "Try it again: Mnesia's checkpoint cannot be read while a node joins or leaves the cluster, or "
      "a table is made or removed. If none was, look into the log of the broker.").

-spec hand_over({hand_over, Run :: pid(), rabbit_hot_backup_metadata:delivery()},
                Session :: pid()) -> ok | {error, term()}.
%% A source is read as fast as the engine acknowledges: the call returns when the payload has left.
hand_over(Message, Session) ->
    try
        gen_server:call(Session, Message, infinity)
    catch
        exit:_ -> {error, session_ended}
    end.

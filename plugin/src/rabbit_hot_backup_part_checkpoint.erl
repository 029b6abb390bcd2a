%% What a checkpoint and a stop are where a node's backup is a part of a cluster's: the steps are
%% those of a node alone, and before each of them all nodes are waited for.
%%
%% With Mnesia, the commits are counted on every node, then one of them activates the checkpoint,
%% then every node settles the transactions that it takes part in and flushes its log. So a
%% commit that is under way anywhere meanwhile is seen on some node: as counted since, or as one
%% that has to settle. A stop before which no node has counted any more is of what is in the
%% checkpoint. (With Khepri: rabbit_hot_backup_part_store.)
%%
%% All of it is done by workers of the session.
-module(rabbit_hot_backup_part_checkpoint).

-export([start/3, stop/3, source/1, release/1]).

-export_type([checkpoint/0]).

-record(checkpoint, {%% Where the metadata of all nodes is streamed from.
                     name = none :: rabbit_hot_backup_checkpoints:name() | none,
                     locks = none :: rabbit_hot_backup_table_locks:locks(),
                     baseline :: rabbit_hot_backup_baseline:baseline()}).

-opaque checkpoint() :: #checkpoint{}
                      | {khepri, HasMetadata :: boolean(),
                         rabbit_hot_backup_khepri_checkpoint:checkpoint()}
                      | {void, rabbit_hot_backup_part:verdict()}.
%% `void`: the attempt was over before it came to a stop.

-type answer() :: rabbit_hot_backup_operations:answer().

-type metadata() :: #{name := rabbit_hot_backup_checkpoints:name(),
                      locks := rabbit_hot_backup_table_locks:locks(),
                      result := rabbit_hot_backup_protocol:details()}.
%% What the node has that stores the metadata.

-spec start(rabbit_hot_backup_part:id(), Session :: pid(), Lock :: boolean()) -> answer().
start(Part, Session, Lock) ->
    start(rabbit_hot_backup_compat:metadata_store(), Part, Session, Lock).

-spec start(mnesia | khepri, rabbit_hot_backup_part:id(), pid(), Lock :: boolean()) -> answer().
%% Only the node with the metadata is asked to lock, before the others count.
start(mnesia, Part, Session, Lock) ->
    Locks = lock(Lock, Session),
    Commits = rabbit_hot_backup_baseline:commits(),
    case rabbit_hot_backup_part:at(Part, based) of
        {activate, _, Nodes} ->
            activate(Part, Session, Nodes, Locks, Commits);
        {flush, _, _} ->
            flush(Commits, none);
        Other ->
            ok = rabbit_hot_backup_table_locks:release(Locks),
            not_started(Other)
    end;
start(khepri, Part, _, _) ->
    case rabbit_hot_backup_part:at(Part, based) of
        {flush, _, Leader} -> start_khepri(Leader =:= node());
        Other -> not_started(Other)
    end.

-spec lock(boolean(), Session :: pid()) -> rabbit_hot_backup_table_locks:locks().
lock(true, Session) ->
    {Tables, _} = rabbit_hot_backup_metadata:tables(rabbit_hot_backup_compat:members()),
    rabbit_hot_backup_table_locks:take(Tables, Session);
lock(false, _) ->
    none.

-spec activate(rabbit_hot_backup_part:id(), pid(), [node()],
               rabbit_hot_backup_table_locks:locks(), rabbit_hot_backup_baseline:commits()) ->
          answer().
activate(Part, Session, Nodes, Locks, Commits) ->
    {Tables, Skipped} = rabbit_hot_backup_metadata:tables(Nodes),
    case rabbit_hot_backup_checkpoints:open(Session, Tables) of
        {ok, #{name := Name, instant := Instant, activation_us := Duration}} ->
            Result = #{checkpoint => rabbit_hot_backup_checkpoints:readable(Name),
                       tables => [atom_to_binary(Table) || Table <- Tables],
                       skipped => Skipped,
                       instant => Instant,
                       activation_us => Duration},
            Members = rabbit_hot_backup_compat:members(),
            Metadata = #{name => Name, locks => Locks, result => Result},
            case rabbit_hot_backup_part:at(Part, {activated, Members}) of
                {flush, _, _} ->
                    flush(Commits, Metadata);
                Other ->
                    ok = forget(Metadata, Session),
                    not_started(Other)
            end;
        {error, Error} ->
            ok = rabbit_hot_backup_table_locks:release(Locks),
            {error, Error}
    end.

-spec flush(rabbit_hot_backup_baseline:commits(), metadata() | none) -> answer().
%% On an error the session releases the checkpoint.
flush(Commits, Metadata) ->
    case {rabbit_hot_backup_checkpoints:settle_and_flush(Commits), Metadata} of
        {{ok, Baseline}, #{name := Name, locks := Locks, result := Result}} ->
            started(Result#{metadata => true},
                    #checkpoint{name = Name, locks = Locks, baseline = Baseline});
        {{ok, Baseline}, none} ->
            started(without_metadata(mnesia), #checkpoint{baseline = Baseline});
        {{error, Error}, none} ->
            {error, Error};
        {{error, Error}, #{locks := Locks}} ->
            ok = rabbit_hot_backup_table_locks:release(Locks),
            {error, Error}
    end.

-spec started(rabbit_hot_backup_protocol:details(), #checkpoint{}) -> answer().
started(Result, #checkpoint{baseline = Baseline} = Checkpoint) ->
    {ok, maps:merge(Result#{store => mnesia}, rabbit_hot_backup_baseline:log(Baseline)),
     #{checkpoint => {part, Checkpoint}}}.

-spec start_khepri(HasMetadata :: boolean()) -> answer().
start_khepri(HasMetadata) ->
    case {rabbit_hot_backup_khepri_checkpoint:start(), HasMetadata} of
        {{ok, Checkpoint}, true} ->
            {ok, (without_metadata(khepri))#{metadata := true,
                                             checkpoint := <<"export of the Khepri store">>},
             #{checkpoint => {part, {khepri, true, Checkpoint}}}};
        {{ok, Checkpoint}, false} ->
            {ok, without_metadata(khepri), #{checkpoint => {part, {khepri, false, Checkpoint}}}};
        {{error, Error}, _} ->
            {error, Error}
    end.

-spec without_metadata(mnesia | khepri) -> rabbit_hot_backup_protocol:details().
without_metadata(Store) ->
    #{metadata => false, checkpoint => <<"with another node of the cluster">>, store => Store,
      tables => [], skipped => [], instant => os:system_time(microsecond), activation_us => 0}.

-spec forget(metadata(), Session :: pid()) -> ok.
forget(#{locks := Locks}, Session) ->
    ok = rabbit_hot_backup_table_locks:release(Locks),
    rabbit_hot_backup_checkpoints:release(Session).

-spec not_started(rabbit_hot_backup_part:order()) -> answer().
%% The stop that the engine asks for next says what came of the attempt.
not_started({verdict, _, Verdict}) ->
    {ok, without_metadata(rabbit_hot_backup_compat:metadata_store()),
     #{checkpoint => {part, {void, Verdict}}}};
not_started({fail, Error}) ->
    {error, Error}.

-spec source(checkpoint()) -> rabbit_hot_backup_operations:source() | none.
%% What is streamed, if it is this part that has the metadata.
source(#checkpoint{name = Name}) when Name =/= none -> {checkpoint, {mnesia, Name}};
source({khepri, true, Checkpoint}) -> {checkpoint, {khepri, Checkpoint}};
source(_) -> none.

-spec release(checkpoint()) -> ok.
release(#checkpoint{locks = Locks}) -> rabbit_hot_backup_table_locks:release(Locks);
release({khepri, _, Checkpoint}) -> rabbit_hot_backup_khepri_checkpoint:release(Checkpoint);
release({void, _}) -> ok.

%% ------------------------------------------------------------------
%% The stop

-spec stop(MaxPause :: pos_integer(), checkpoint(), rabbit_hot_backup_operations:context()) ->
          answer().
%% What is of no use already costs no node a pause.
stop(_, {void, Verdict}, _) ->
    {ok, rabbit_hot_backup_holder:not_held(Verdict), #{}};
stop(MaxPause, {khepri, HasMetadata, Checkpoint}, Context) ->
    case rabbit_hot_backup_part_store:stop(MaxPause, Checkpoint, Context) of
        {ok, Held, Order, Stopped} ->
            case stopped(Held, Order) of
                {ok, Result, _} ->
                    {ok, Result, #{checkpoint => {part, {khepri, HasMetadata, Stopped}}}};
                Failed ->
                    ok = rabbit_hot_backup_khepri_checkpoint:release(Stopped),
                    Failed
            end;
        {error, Error} ->
            {error, Error}
    end;
stop(MaxPause, #checkpoint{baseline = Baseline} = Checkpoint, #{part := Part, holder := Holder}) ->
    Unchanged = fun() -> rabbit_hot_backup_baseline:is_unchanged(Baseline) end,
    Step = case Unchanged() of
               true -> {armed, #{holder => Holder, max_pause => MaxPause}};
               false -> committed
           end,
    Answer = case rabbit_hot_backup_part:at(Part, Step) of
                 {hold, _, Appointment, _} -> hold(Part, Holder, Appointment, Baseline, Unchanged);
                 Other -> stopped(rabbit_hot_backup_holder:not_held(apart), Other)
             end,
    %% Another attempt has a checkpoint of its own.
    ok = release(Checkpoint),
    Answer.

-spec hold(rabbit_hot_backup_part:id(), Holder :: pid(), rabbit_hot_backup_holder:appointment(),
           rabbit_hot_backup_baseline:baseline(), rabbit_hot_backup_holder:unchanged()) ->
          answer().
hold(Part, Holder, Appointment, Baseline, Unchanged) ->
    case rabbit_hot_backup_holder:hold(Holder, Appointment, Unchanged) of
        {ok, Held} ->
            Judged = rabbit_hot_backup_baseline:confirm(Held, Baseline),
            ok = rabbit_hot_backup_holder:log(Judged),
            stopped(Judged, rabbit_hot_backup_part:at(Part, {held, Judged}));
        {error, Error} ->
            {error, Error}
    end.

-spec stopped(rabbit_hot_backup_holder:held(), rabbit_hot_backup_part:order()) -> answer().
%% The same outcome for all nodes, whatever it was here.
stopped(Held, {verdict, _, Verdict}) ->
    {ok, maps:without([began, ended, heard], Held#{outcome := Verdict}), #{}};
stopped(_, {fail, Error}) ->
    {error, Error}.

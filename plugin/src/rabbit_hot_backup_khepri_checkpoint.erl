%% What a checkpoint is where the metadata is in Khepri: before a stop only what makes it short, and
%% from a successful stop on an export of the store as it was in it.
-module(rabbit_hot_backup_khepri_checkpoint).

-export([start/0, stop/4, follow/3, read/2, release/1]).

-export_type([checkpoint/0, hold/1]).

-type hold(Over) :: fun((rabbit_hot_backup_khepri:position(),
                         rabbit_hot_backup_holder:unchanged()) ->
                               {ok, rabbit_hot_backup_holder:held()}
                             | {over, Over}
                             | {error, rabbit_hot_backup_protocol:error()}).
%% How the node is held, with the store locked. `over`: it is not wanted any more.

-record(checkpoint, {names :: rabbit_hot_backup_ra_names:names(),
                     export = none :: rabbit_hot_backup_export:export() | none}).

-opaque checkpoint() :: #checkpoint{}.

%% How long the name of a Ra server may be on its way to the file, in milliseconds: beforehand, and
%% while changes of metadata wait.
-define(REGISTRATION, 2000).
-define(LATE_REGISTRATION, 200).

-spec start() -> {ok, checkpoint()} | {error, rabbit_hot_backup_protocol:error()}.
start() ->
    case rabbit_hot_backup_baseline:flush_log() of
        {ok, _} -> {ok, #checkpoint{names = rabbit_hot_backup_ra_names:flush(?REGISTRATION)}};
        {error, Error} -> {error, Error}
    end.

-spec stop(MaxPause :: pos_integer(), checkpoint(), Session :: pid(), hold(Over)) ->
          {ok, rabbit_hot_backup_holder:held(), checkpoint()}
        | {over, Over, checkpoint()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Holds the node while nobody can change metadata. `MaxPause`, in microseconds, is how long that
%% may take at the most.
stop(MaxPause, Earlier, Session, Hold) ->
    ok = release(Earlier),
    Checkpoint = Earlier#checkpoint{export = none},
    case rabbit_hot_backup_store_lock:take(Session, MaxPause) of
        {ok, Lock} ->
            Named = latest_names(Checkpoint),
            case Hold(rabbit_hot_backup_store_lock:position(Lock), unchanged(Named, Lock)) of
                {ok, #{outcome := held} = Held} ->
                    export(Held, Named, Lock);
                {ok, Held} ->
                    ok = rabbit_hot_backup_store_lock:release(Lock),
                    {ok, Held, Named};
                {over, What} ->
                    ok = rabbit_hot_backup_store_lock:release(Lock),
                    {over, What, Named};
                {error, Error} ->
                    ok = rabbit_hot_backup_store_lock:release(Lock),
                    {error, Error}
            end;
        busy ->
            {ok, rabbit_hot_backup_holder:not_held(committed), Checkpoint};
        {error, Error} ->
            {error, Error}
    end.

-spec follow(checkpoint(), rabbit_hot_backup_khepri:position(), Hold) -> Result
              when Hold :: fun((rabbit_hot_backup_holder:unchanged()) ->
                                      {ok, rabbit_hot_backup_holder:held()} | {error, Error}),
                   Result :: {ok, rabbit_hot_backup_holder:held()} | {error, Error},
                   Error :: rabbit_hot_backup_protocol:error().
%% Holds a node of a cluster whose store is locked on another one, at a position which the log here
%% must not be beyond.
follow(#checkpoint{names = Names}, Position, Hold) ->
    case Hold(fun() ->
                      is_within(Position)
                          andalso rabbit_hot_backup_ra_names:is_unchanged(Names)
              end) of
        {ok, #{outcome := held} = Held} ->
            case rabbit_hot_backup_ra_names:is_confirmed(Names) of
                true -> {ok, Held};
                false -> {ok, Held#{outcome := committed}}
            end;
        Other ->
            Other
    end.

-spec is_within(rabbit_hot_backup_khepri:position()) -> boolean().
%% Counters only. What another leader has written is of a later term.
is_within(#{last := Last, term := Term}) ->
    case rabbit_hot_backup_khepri:position() of
        {ok, #{term := Term, last := Here}} -> Here =< Last;
        {ok, #{term := Earlier}} -> Earlier < Term;
        {error, _} -> false
    end.

-spec read(checkpoint(), rabbit_hot_backup_metadata:hand_over()) -> ok | {error, term()}.
%% Of the stop; without one, of now.
read(#checkpoint{export = none}, HandOver) ->
    Export = rabbit_hot_backup_export:start(self(), fun() -> true end),
    case rabbit_hot_backup_export:await(Export, infinity) of
        {ok, _} ->
            Result = rabbit_hot_backup_export:read(Export, HandOver),
            ok = rabbit_hot_backup_export:stop(Export),
            Result;
        {error, Reason} ->
            {error, Reason}
    end;
read(#checkpoint{export = Export}, HandOver) ->
    rabbit_hot_backup_export:read(Export, HandOver).

-spec release(checkpoint()) -> ok.
release(#checkpoint{export = none}) -> ok;
release(#checkpoint{export = Export}) -> rabbit_hot_backup_export:stop(Export).

-spec latest_names(checkpoint()) -> checkpoint().
%% Where nobody can declare a queue any more, there are soon no more names to come. All of them are
%% compared only later, when nobody waits.
latest_names(#checkpoint{names = Names} = Checkpoint) ->
    case rabbit_hot_backup_ra_names:is_unchanged(Names) of
        true -> Checkpoint;
        false ->
            Checkpoint#checkpoint{names = rabbit_hot_backup_ra_names:flush(?LATE_REGISTRATION)}
    end.

-spec unchanged(checkpoint(), rabbit_hot_backup_store_lock:lock()) ->
          rabbit_hot_backup_holder:unchanged().
unchanged(#checkpoint{names = Names}, Lock) ->
    fun() ->
            rabbit_hot_backup_store_lock:is_unchanged(Lock)
                andalso rabbit_hot_backup_ra_names:is_unchanged(Names)
    end.

-spec export(rabbit_hot_backup_holder:held(), checkpoint(), rabbit_hot_backup_store_lock:lock()) ->
          {ok, rabbit_hot_backup_holder:held(), checkpoint()}.
export(Held, #checkpoint{names = Names} = Checkpoint, Lock) ->
    case rabbit_hot_backup_store_lock:export(Lock) of
        {ok, Export, Time} ->
            Outcome = case rabbit_hot_backup_ra_names:is_confirmed(Names) of
                          true -> held;
                          false -> committed
                      end,
            {ok, Held#{outcome := Outcome, store_us => Time},
             Checkpoint#checkpoint{export = Export}};
        {error, Reason} ->
            rabbit_hot_backup_compat:log(
              info, "the metadata store moved on before it could be exported: ~tp", [Reason]),
            {ok, Held#{outcome := committed}, Checkpoint}
    end.

%% The stop of a part where the metadata of the cluster is in Khepri.
%%
%% Every member has the store's log in its files, and after a restore the store is what the log
%% of the elected leader holds. A member whose log is behind is not elected by those who have
%% more. So the metadata is determined when no log in the backup goes beyond one position, and a
%% majority of the members' ends there:
%% - The leader locks the store (rabbit_hot_backup_store_lock): from then on nobody adds to its log.
%% - It waits until a majority of the members have written what was added before.
%% - In its hold each member looks whether its own log is still not beyond, in the same term.
%%   Another leader would have begun another one.
%% - The leader exports the store as it is at that position.
-module(rabbit_hot_backup_part_store).

-export([stop/3]).

-type stopped() :: {ok, rabbit_hot_backup_holder:held(), rabbit_hot_backup_part:order(),
                    rabbit_hot_backup_khepri_checkpoint:checkpoint()}
                 | {error, rabbit_hot_backup_protocol:error()}.

%% Microseconds for which metadata is locked besides the stop: until all are told when it is.
-define(LEAD, 500 * 1000).
%% How long, in milliseconds, followers may take to write what the leader has sent them.
-define(FOLLOWING, 500).

-spec stop(MaxPause :: pos_integer(), rabbit_hot_backup_khepri_checkpoint:checkpoint(),
           rabbit_hot_backup_operations:context()) -> stopped().
stop(MaxPause, Checkpoint, #{part := Part, holder := Holder, session := Session}) ->
    %% Who joins or leaves later changes the store, and that is seen.
    Armed = {armed, #{holder => Holder, max_pause => MaxPause,
                      members => rabbit_hot_backup_compat:members()}},
    case rabbit_hot_backup_part:at(Part, Armed) of
        {lock, _, Nodes, Members} ->
            lead(MaxPause, Checkpoint, {Nodes, Members}, {Part, Session, Holder});
        {hold, _, Appointment, Position} ->
            follow(Checkpoint, Appointment, Position, Part, Holder);
        Other ->
            {ok, rabbit_hot_backup_holder:not_held(apart), Other, Checkpoint}
    end.

-spec follow(rabbit_hot_backup_khepri_checkpoint:checkpoint(),
             rabbit_hot_backup_holder:appointment(), rabbit_hot_backup_khepri:position(),
             rabbit_hot_backup_part:id(), Holder :: pid()) -> stopped().
follow(Checkpoint, Appointment, Position, Part, Holder) ->
    Hold = fun(Unchanged) -> rabbit_hot_backup_holder:hold(Holder, Appointment, Unchanged) end,
    case rabbit_hot_backup_khepri_checkpoint:follow(Checkpoint, Position, Hold) of
        {ok, Held} -> report(Held, Part, Checkpoint);
        {error, Error} -> {error, Error}
    end.

-spec lead(pos_integer(), rabbit_hot_backup_khepri_checkpoint:checkpoint(),
           {[node()], Members :: pos_integer()},
           {rabbit_hot_backup_part:id(), Session :: pid(), Holder :: pid()}) -> stopped().
lead(MaxPause, Checkpoint, {Nodes, Members}, {Part, Session, Holder}) ->
    Hold = fun(Position, Unchanged) ->
                   case is_followed(Position, Nodes, Members) of
                       true -> hold(Position, Unchanged, Part, Holder);
                       false -> {ok, rabbit_hot_backup_holder:not_held(committed)}
                   end
           end,
    case rabbit_hot_backup_khepri_checkpoint:stop(MaxPause + ?LEAD, Checkpoint, Session, Hold) of
        {ok, #{began := _} = Held, Stopped} ->
            report(Held, Part, Stopped);
        {ok, #{outcome := late} = Held, Stopped} ->
            report(Held, Part, Stopped);
        {ok, Held, Stopped} ->
            {ok, Held, rabbit_hot_backup_part:at(Part, committed), Stopped};
        {over, Order, Stopped} ->
            {ok, rabbit_hot_backup_holder:not_held(apart), Order, Stopped};
        {error, Error} ->
            {error, Error}
    end.

-spec hold(rabbit_hot_backup_khepri:position(), rabbit_hot_backup_holder:unchanged(),
           rabbit_hot_backup_part:id(), Holder :: pid()) ->
          {ok, rabbit_hot_backup_holder:held()} | {over, rabbit_hot_backup_part:order()}
        | {error, rabbit_hot_backup_protocol:error()}.
hold(Position, Unchanged, Part, Holder) ->
    case rabbit_hot_backup_part:at(Part, {locked, Position}) of
        {hold, _, Appointment, _} ->
            rabbit_hot_backup_holder:hold(Holder, Appointment, Unchanged);
        Other ->
            {over, Other}
    end.

-spec report(rabbit_hot_backup_holder:held(), rabbit_hot_backup_part:id(),
             rabbit_hot_backup_khepri_checkpoint:checkpoint()) -> stopped().
report(Held, Part, Checkpoint) ->
    ok = rabbit_hot_backup_holder:log(Held),
    {ok, Held, rabbit_hot_backup_part:at(Part, {held, Held}), Checkpoint}.

-spec is_followed(rabbit_hot_backup_khepri:position(), [node()], pos_integer()) -> boolean().
%% Others wait for the lock meanwhile.
is_followed(Position, Nodes, Members) ->
    is_followed(Position, Nodes -- [node()], Members,
                erlang:monotonic_time(millisecond) + ?FOLLOWING).

-spec is_followed(rabbit_hot_backup_khepri:position(), [node()], pos_integer(), integer()) ->
          boolean().
is_followed(#{last := Last, term := Term} = Position, Followers, Members, Deadline) ->
    {Positions, _} = rpc:multicall(Followers, rabbit_hot_backup_khepri, position, [], ?FOLLOWING),
    There = [There || {ok, #{last := L, written := W, term := T} = There} <- Positions,
                      L =:= Last, W =:= Last, T =:= Term],
    %% All if they can, and at the least a majority together with the leader.
    case {length(There), erlang:monotonic_time(millisecond) < Deadline} of
        {Count, _} when Count =:= length(Followers) -> 2 * (Count + 1) > Members;
        {Count, false} -> 2 * (Count + 1) > Members;
        {_, true} -> receive after 1 -> ok end,
                     is_followed(Position, Followers, Members, Deadline)
    end.

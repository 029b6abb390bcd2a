%% The attempts of a cluster backup to hold all nodes still at one moment: when they meet and for
%% how long they wait for each other, what came of it, and whether there is another one.
%%
%% What is not proven (rabbit_hot_backup_overlap) has not happened. Nobody was harmed by it: a node
%% goes on when its time is over, whatever the others do.
-module(rabbit_hot_backup_attempts).

-export([new/1, next/1, number/1, is_polite/1, appoint/4, judge/4, missed/3, verdict/1]).

-export_type([attempts/0, armed/0, stop/0, miss/0]).

-type miss() :: committed | late | refused | apart | silent | leaderless.
%% Why an attempt was of no use: metadata was changed around it; a node came too late or was not
%% done in time; an engine did not take its files; the nodes did not stand still together; a node
%% did not answer while it was prepared; none of them leads the metadata store.

-type armed() :: #{node() => #{holder := pid(), max_pause := pos_integer(), members => [node()],
                               bounds := rabbit_hot_backup_ping:bounds()}}.

-type reports() :: #{node() => {rabbit_hot_backup_holder:held(), rabbit_hot_backup_ping:bounds()}}.

-type stop() :: #{attempts := pos_integer(), pause_us := non_neg_integer(),
                  overlap_us := non_neg_integer(), window_us := non_neg_integer(),
                  round_trip_us := non_neg_integer(), proof := binary(), instant := integer(),
                  nodes := [#{node := binary(), began_us := integer(), ended_us := integer()}]}.
%% As it is written down: docs/protocol.md, `part_prepared`.

-record(attempts, {number = 0 :: non_neg_integer(),
                   window :: pos_integer(),
                   lead :: pos_integer(),
                   misses = #{} :: #{miss() => pos_integer()}}).

-opaque attempts() :: #attempts{}.

%% How long nodes wait for each other, in microseconds, at first. Over TLS nothing passes while they
%% stand still, so each waits for all of that time, and the clocks have to prove it.
-define(WINDOW, 25 * 1000).
-define(TLS_WINDOW, 8 * 1000).
%% How long before they meet they are told, and at the most when some came too late.
-define(LEAD, 10 * 1000).
-define(LONGEST_LEAD, 160 * 1000).
%% From this many misses by commits on, whoever changes metadata waits.
-define(POLITE, 4).

-spec new(plain | tls) -> attempts().
new(plain) -> #attempts{window = ?WINDOW, lead = ?LEAD};
new(tls) -> #attempts{window = ?TLS_WINDOW, lead = ?LEAD}.

-spec next(attempts()) -> attempts().
next(#attempts{number = Number} = Attempts) ->
    Attempts#attempts{number = Number + 1}.

-spec number(attempts()) -> non_neg_integer().
number(#attempts{number = Number}) ->
    Number.

-spec is_polite(attempts()) -> boolean().
is_polite(#attempts{misses = Misses}) ->
    maps:get(committed, Misses, 0) < ?POLITE.

-spec verdict(miss()) -> rabbit_hot_backup_part:verdict().
%% What the engines hear of it.
verdict(Miss) when Miss =:= committed; Miss =:= late -> Miss;
verdict(_) -> apart.

%% ------------------------------------------------------------------
%% The appointment

-spec appoint(rabbit_hot_backup_part:id(), Here :: node(), armed(), attempts()) ->
          {ok, #{node() => rabbit_hot_backup_holder:appointment()}} | {unknown, node()}.
%% When each of them stops, by its own clock. `unknown`: a node whose clock did not answer.
appoint(Id, Here, Armed, #attempts{number = Number, lead = Lead} = Attempts) ->
    #{bounds := Bounds} = maps:get(Here, Armed),
    case [Node || Node <- maps:keys(Armed), Node =/= Here, bounds_of(Node, Bounds) =:= none] of
        [Node | _] ->
            {unknown, Node};
        [] ->
            Ahead = max(Lead, 3 * round_trip(Armed)),
            At = rabbit_hot_backup_overlap:now_us() + Ahead,
            Window = window(Armed, Attempts),
            Of = fun(Node, #{max_pause := MaxPause, holder := Holder}) ->
                         #{at => there(At, Node, Here, Bounds), window => Window,
                           max_pause => MaxPause, attempt => {Id, Number},
                           peers => [Peer || #{holder := Peer} <- maps:values(Armed),
                                             Peer =/= Holder]}
                 end,
            {ok, maps:map(Of, Armed)}
    end.

-spec there(rabbit_hot_backup_overlap:moment(), node(), node(), rabbit_hot_backup_ping:bounds()) ->
          rabbit_hot_backup_overlap:moment().
there(Moment, Here, Here, _) -> Moment;
there(Moment, Node, _, Bounds) -> rabbit_hot_backup_overlap:there(Moment, bounds_of(Node, Bounds)).

-spec bounds_of(node(), rabbit_hot_backup_ping:bounds()) ->
          rabbit_hot_backup_overlap:bounds() | none.
bounds_of(Node, Bounds) ->
    case Bounds of
        #{Node := #{bounds := Known}} -> Known;
        #{} -> none
    end.

-spec window(armed(), attempts()) -> non_neg_integer().
%% Never longer than any of them may be held.
window(Armed, #attempts{window = Window}) ->
    lists:min([Window | [MaxPause || #{max_pause := MaxPause} <- maps:values(Armed)]]).

-spec round_trip(armed()) -> non_neg_integer().
round_trip(Armed) ->
    lists:max([0 | [Time || #{bounds := Bounds} <- maps:values(Armed),
                            #{round_trip_us := Time} <- maps:values(Bounds), is_integer(Time)]]).

%% ------------------------------------------------------------------
%% What came of it

-spec judge(Here :: node(), armed(), reports(), attempts()) -> {held, stop()} | {miss, miss()}.
judge(Here, Armed, Reports, Attempts) ->
    Outcomes = [Outcome || {#{outcome := Outcome}, _} <- maps:values(Reports)],
    case [Outcome || Outcome <- [committed, late, refused], lists:member(Outcome, Outcomes)] of
        [Miss | _] ->
            {miss, Miss};
        [] ->
            Stood = [Held#{node => Node} || {Node, {Held, _}} <- maps:to_list(Reports)],
            case rabbit_hot_backup_overlap:prove(Stood, known(Armed, Reports)) of
                {proven, Proof} -> {held, stop(Here, Armed, Stood, Proof, Attempts)};
                {apart, _} -> {miss, apart}
            end
    end.

-spec known(armed(), reports()) -> rabbit_hot_backup_overlap:known().
known(Armed, Reports) ->
    maps:from_list([{{Here, There}, {bounds_of(There, Before), bounds_of(There, Later)}}
                    || {Here, #{bounds := Before}} <- maps:to_list(Armed),
                       {_, Later} <- [maps:get(Here, Reports)],
                       There <- maps:keys(Armed), There =/= Here]).

-spec stop(node(), armed(), [rabbit_hot_backup_overlap:stood()],
           rabbit_hot_backup_overlap:proof(), attempts()) -> stop().
%% The instant is the moment at which the last one stopped, by this node's clock.
stop(Here, Armed, Stood, #{overlap_us := Overlap, proof := Proof},
     #attempts{number = Number} = Attempts) ->
    #{bounds := Bounds} = maps:get(Here, Armed),
    Times = [{Node, Began - ahead(Node, Here, Bounds), Ended - ahead(Node, Here, Bounds)}
             || #{node := Node, began := Began, ended := Ended} <- Stood],
    Last = lists:max([Began || {_, Began, _} <- Times]),
    #{attempts => Number,
      pause_us => lists:max([Pause || #{pause_us := Pause} <- Stood]),
      overlap_us => Overlap,
      window_us => window(Armed, Attempts),
      round_trip_us => round_trip(Armed),
      proof => atom_to_binary(Proof),
      instant => os:system_time(microsecond) - rabbit_hot_backup_overlap:now_us() + Last,
      nodes => [#{node => atom_to_binary(Node), began_us => Began - Last, ended_us => Ended - Last}
                || {Node, Began, Ended} <- lists:sort(Times)]}.

-spec ahead(node(), node(), rabbit_hot_backup_ping:bounds()) -> integer().
ahead(Node, Here, Bounds) ->
    there(0, Node, Here, Bounds).

%% ------------------------------------------------------------------
%% Another one

-spec missed(miss(), Slowest :: {node(), Microseconds :: non_neg_integer()}, attempts()) ->
          {again, Milliseconds :: pos_integer(), attempts()}
        | {given_up, rabbit_hot_backup_protocol:error()}.
%% `Slowest`: which node took how long to stop, or did not answer. The next attempt gives more of
%% what this one lacked, after a while.
missed(Miss, Slowest, #attempts{misses = Misses} = Attempts) ->
    Count = maps:get(Miss, Misses, 0) + 1,
    case Count < most(Miss) of
        true ->
            {again, pause(Miss, Count),
             better(Miss, Slowest, Attempts#attempts{misses = Misses#{Miss => Count}})};
        false ->
            {given_up, given_up(Miss, Slowest, Count)}
    end.

-spec most(miss()) -> pos_integer().
most(committed) -> 20;
most(late) -> 6;
most(refused) -> 20;
most(apart) -> 10;
most(silent) -> 5;
most(leaderless) -> 20.

-spec pause(miss(), pos_integer()) -> pos_integer().
pause(committed, Count) -> 1 + 2 * Count;
pause(_, Count) -> 50 bsl min(Count, 5).

-spec better(miss(), {node(), non_neg_integer()}, attempts()) -> attempts().
better(apart, {_, Time}, #attempts{window = Window} = Attempts) ->
    Attempts#attempts{window = max(2 * Window, 3 * Time div 2)};
better(late, _, #attempts{lead = Lead} = Attempts) ->
    Attempts#attempts{lead = min(2 * Lead, ?LONGEST_LEAD)};
better(_, _, Attempts) ->
    Attempts.

-spec given_up(miss(), {node(), non_neg_integer()}, pos_integer()) ->
          rabbit_hot_backup_protocol:error().
given_up(committed, _, Count) ->
    rabbit_hot_backup_protocol:error(
      failed, "metadata was changed around each of ~b stops of the cluster", [Count],
      "Look for what changes metadata all the time (a plugin that writes to a durable table of "
      "Mnesia, for one), and make the backup when it does less of that.");
given_up(refused, _, Count) ->
    rabbit_hot_backup_protocol:error(
      failed, "the files of a node could not be taken in ~b stops of the cluster", [Count],
      "Make the backup when fewer messages are published and consumed; the broker's output and "
      "log say what was in the way.");
given_up(leaderless, _, _) ->
    rabbit_hot_backup_protocol:error(
      failed, "no node that takes part leads the metadata store", [],
      "See rabbitmqctl cluster_status, and start the nodes that do not run.");
given_up(silent, {Node, _}, Count) ->
    rabbit_hot_backup_protocol:error(
      failed, "~ts was not ready in time for ~b stops of the cluster", [Node, Count],
      "Look at the load of that node and at its network.");
given_up(_, {Node, Time}, Count) ->
    rabbit_hot_backup_protocol:error(
      failed, "the nodes of the cluster could not be held still together in ~b attempts: ~ts took "
      "~b ms to stop", [Count, Node, Time div 1000],
      lists:concat(["Allow a longer pause (max_pause), or make the backup when the disk of ", Node,
                    " has less to do."])).

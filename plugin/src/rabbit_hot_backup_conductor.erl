%% Conducts the backup of a whole cluster, on the node that was asked for it: docs/protocol.md,
%% "Backups of a cluster".
%%
%% Each node makes its own part (rabbit_hot_backup_part). What is done here is to wait until all of
%% them have got to the same point, and then to tell them what is next. The states are these points:
%%
%%   checking    it is known who takes part
%%   joining     all have ordered their part
%%   copying     all engines are ready for a stop
%%   excluding   whoever wants to change metadata waits; only when it does not work without
%%   basing      all have counted their commits
%%   activating  the checkpoint is there
%%   arming      all have settled and are about to stop
%%   locking     the store is locked, where it is Khepri
%%   holding     all have reported their stop
%%   storing     all parts are prepared
%%   publishing  the coordinator's engine has written the manifest of all
%%   committing  the other engines have it
%%   ended       for a while, to tell of it
%%
%% Every state has an end. In a stop a node that does not answer in time costs the attempt;
%% otherwise, and when it is gone, it ends the backup on all nodes. Nothing waits for this process
%% in a stop.
-module(rabbit_hot_backup_conductor).

-behaviour(gen_statem).

-export([start_link/1]).
-export([callback_mode/0, init/1, handle_event/4]).

%% How long may be waited in each state, in milliseconds.
-define(CHECKING, 60 * 1000).
-define(JOINING, 75 * 1000).
-define(EXCLUDING, 10 * 1000).
-define(BASING, 10 * 1000).
-define(ACTIVATING, 65 * 1000).
-define(ARMING, 35 * 1000).
-define(LOCKING, 7 * 1000).
-define(REPORTING, 5 * 1000).
-define(COPYING_STORE, 35 * 1000).
%% Since the last that was heard of any part: an engine says that it gets on.
-define(STORING, 10 * 60 * 1000).
-define(COMMITTING, 60 * 1000).
-define(REMEMBERING, 10 * 60 * 1000).

-record(cluster, {id :: rabbit_hot_backup_part:id(),
                  options :: rabbit_hot_backup_cluster:options(),
                  %% Who waits for the job's number.
                  callers = [] :: [gen_statem:from()],
                  checker :: reference() | undefined,
                  plan = #{members => [], nodes => [node()], missing => [], metadata => leader} ::
                      rabbit_hot_backup_members:plan(),
                  monitors = #{} :: #{reference() => node()},
                  job :: rabbit_hot_backup_jobs:id() | undefined,
                  progress = #{} :: #{node() => {binary(), non_neg_integer(), non_neg_integer()}},
                  %% What the nodes have said in this state.
                  answers = #{} :: #{node() => term()},
                  %% Who has the metadata in this attempt.
                  metadata = none :: node() | none,
                  attempts :: rabbit_hot_backup_attempts:attempts(),
                  %% Not before then (of the monotonic time, in milliseconds) is there another one.
                  pause_until :: integer(),
                  armed = #{} :: rabbit_hot_backup_attempts:armed(),
                  stop :: rabbit_hot_backup_attempts:stop() | undefined,
                  %% Whose parts may still be told that the backup is published.
                  uncommitted = [] :: [node()],
                  manifest :: binary() | undefined,
                  %% Of the parts, for whoever has asked.
                  warnings = [] :: [binary()],
                  error :: rabbit_hot_backup_protocol:error() | undefined}).

-type state() :: checking | joining | copying | excluding | basing | activating | arming | locking
               | holding | storing | publishing | committing | ended.

-type result() :: gen_statem:event_handler_result(state()).

-spec start_link(rabbit_hot_backup_cluster:options()) -> {ok, pid()} | {error, term()}.
start_link(Options) ->
    case gen_statem:start_link(?MODULE, Options, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

%% ------------------------------------------------------------------

-spec callback_mode() -> [handle_event_function | state_enter].
callback_mode() ->
    [handle_event_function, state_enter].

-spec init(rabbit_hot_backup_cluster:options()) -> {ok, state(), #cluster{}}.
init(Options) ->
    {_, Checker} = spawn_monitor(fun() -> exit({checked, rabbit_hot_backup_members:plan(Options)})
                                 end),
    {ok, checking, #cluster{id = new_id(), options = Options, checker = Checker,
                            attempts = rabbit_hot_backup_attempts:new(distribution()),
                            pause_until = erlang:monotonic_time(millisecond)}}.

-spec new_id() -> rabbit_hot_backup_part:id().
%% As those of all backups: docs/format.md.
new_id() ->
    Now = os:system_time(millisecond),
    Text = calendar:system_time_to_rfc3339(Now, [{unit, millisecond}, {offset, "Z"}]),
    list_to_binary([Letter || Letter <- Text, Letter =/= $-, Letter =/= $:]).

-spec distribution() -> plain | tls.
distribution() ->
    case init:get_argument(proto_dist) of
        {ok, [["inet" ++ Rest] | _]} when Rest =:= "_tls"; Rest =:= "6_tls" -> tls;
        _ -> plain
    end.

-spec handle_event(gen_statem:event_type() | enter, term(), state(), #cluster{}) -> result().
handle_event(enter, excluding, basing, #cluster{metadata = Node} = Data) ->
    {keep_state, Data#cluster{answers = #{Node => based}}, entered(basing, Data)};
handle_event(enter, _, State, Data) ->
    {keep_state, Data#cluster{answers = #{}}, entered(State, Data)};
handle_event({call, From}, Question, State, Data) ->
    asked(Question, From, State, Data);
handle_event(info, {'DOWN', Checker, process, _, Reason}, checking,
             #cluster{checker = Checker} = Data) ->
    checked(Reason, Data);
handle_event(info, {'DOWN', Monitor, process, _, Reason}, State,
             #cluster{monitors = Monitors} = Data) when is_map_key(Monitor, Monitors) ->
    {Node, Others} = maps:take(Monitor, Monitors),
    lost(Node, Reason, State, Data#cluster{monitors = Others});
handle_event(info, {part_news, Node, News}, State, #cluster{plan = #{nodes := Nodes}} = Data) ->
    case lists:member(Node, Nodes) of
        true -> heard(News, Node, State, Data);
        false -> keep_state_and_data
    end;
handle_event(state_timeout, _, State, Data) ->
    waited(State, Data);
handle_event(_, _, _, _) ->
    keep_state_and_data.

-spec entered(state(), #cluster{}) -> [gen_statem:action()].
entered(State, #cluster{armed = Armed, plan = #{metadata := Metadata}}) ->
    case State of
        checking -> [{state_timeout, ?CHECKING, over}];
        joining -> [{state_timeout, ?JOINING, over}];
        copying -> [];
        excluding -> [{state_timeout, ?EXCLUDING, over}];
        basing -> [{state_timeout, ?BASING, over}];
        activating -> [{state_timeout, ?ACTIVATING, over}];
        arming -> [{state_timeout, ?ARMING, over}];
        locking -> [{state_timeout, ?LOCKING, over}];
        %% The leader's node has copied the store before it says anything.
        holding when Metadata =:= leader ->
            [{state_timeout, longest(Armed) + ?COPYING_STORE, over}];
        holding -> [{state_timeout, longest(Armed) + ?REPORTING, over}];
        storing -> [{state_timeout, ?STORING, over}];
        publishing -> [{state_timeout, ?STORING, over}];
        committing -> [{state_timeout, ?COMMITTING, over}];
        ended -> [{state_timeout, ?REMEMBERING, over}]
    end.

-spec longest(rabbit_hot_backup_attempts:armed()) -> non_neg_integer().
longest(Armed) ->
    lists:max([MaxPause || #{max_pause := MaxPause} <- maps:values(Armed)]) div 1000.

%% ------------------------------------------------------------------
%% Those who want it

-spec asked(term(), gen_statem:from(), state(), #cluster{}) -> result().
asked(begun, From, ended, #cluster{error = Error}) when Error =/= undefined ->
    {keep_state_and_data, [{reply, From, {error, Error}}]};
asked(begun, From, State, #cluster{callers = Callers} = Data)
  when State =:= checking; State =:= joining ->
    {keep_state, Data#cluster{callers = [From | Callers]}};
asked(begun, From, _, #cluster{job = Job}) ->
    {keep_state_and_data, [{reply, From, {ok, Job}}]};
asked({status, Job}, From, State, #cluster{job = Job} = Data) ->
    {keep_state_and_data, [{reply, From, {ok, report(State, Data)}}]};
asked({nodes, Id}, From, _, #cluster{id = Id} = Data) ->
    {keep_state_and_data, [{reply, From, {ok, node_reports(Data)}}]};
asked({cancel, Job}, From, State, #cluster{job = Job} = Data)
  when State =/= publishing, State =/= committing, State =/= ended ->
    {next_state, ended, cancelled(Data), [{reply, From, ok}]};
asked(_, From, _, _) ->
    {keep_state_and_data, [{reply, From, unknown}]}.

-spec report(state(), #cluster{}) -> rabbit_hot_backup_cluster:status().
report(State, #cluster{id = Id} = Data) ->
    Report = #{phase => atom_to_binary(State), nodes => node_reports(Data)},
    case {State, Data} of
        {ended, #cluster{error = undefined, manifest = Manifest, warnings = Warnings}} ->
            Report#{state => done, backup => Id, manifest => Manifest, warnings => Warnings};
        {ended, #cluster{error = Error}} -> Report#{state => failed, error => Error};
        _ -> Report#{state => running}
    end.

-spec node_reports(#cluster{}) -> [rabbit_hot_backup_cluster:node_progress()].
node_reports(#cluster{plan = #{nodes := Nodes}, progress = Progress}) ->
    [node_report(Node, maps:get(Node, Progress, {<<"starting">>, 0, 0})) || Node <- Nodes].

-spec node_report(node(), {binary(), non_neg_integer(), non_neg_integer()}) ->
          rabbit_hot_backup_cluster:node_progress().
node_report(Node, {Phase, Done, Total}) ->
    #{node => atom_to_binary(Node), phase => Phase, done => Done, total => Total}.

%% ------------------------------------------------------------------
%% Beginning

-spec checked(term(), #cluster{}) -> result().
checked({checked, {ok, #{nodes := Nodes, missing := Missing} = Plan}},
        #cluster{id = Id} = Data) ->
    rabbit_hot_backup_compat:log(info, "cluster backup ~ts of ~ts begins~ts",
                                 [Id, names(Nodes), [[" without ", names(Missing)]
                                                     || Missing =/= []]]),
    Monitors = maps:from_list([{erlang:monitor(process, {rabbit_hot_backup_part, Node}), Node}
                               || Node <- Nodes]),
    Joining = Data#cluster{plan = Plan, monitors = Monitors},
    ok = tell_all({join, spec(Joining)}, Joining),
    {next_state, joining, Joining};
checked({checked, {error, Error}}, Data) ->
    {next_state, ended, failed(Error, Data)};
checked(Reason, Data) ->
    Error = rabbit_hot_backup_protocol:error(
              failed, "the nodes of the cluster could not be asked: ~tp", [Reason],
              "Check that the metadata store of RabbitMQ answers on this node."),
    {next_state, ended, failed(Error, Data)}.

-spec names([node()]) -> iodata().
names(Nodes) ->
    lists:join(", ", [atom_to_list(Node) || Node <- Nodes]).

-spec spec(#cluster{}) -> rabbit_hot_backup_part:spec().
spec(#cluster{id = Id, options = #{actor := Actor} = Options, plan = #{missing := Missing}}) ->
    Part = maps:with([max_pause, rate_limit], Options),
    Spec = maps:with([repository], Options),
    Spec#{conductor => self(),
          part => Part#{cluster_backup => Id, coordinator => node()},
          missing => [atom_to_binary(Node) || Node <- Missing],
          lock_patience => maps:get(lock_patience, Options, 0),
          actor => Actor}.

%% ------------------------------------------------------------------
%% What the parts say

-spec heard(rabbit_hot_backup_part:news(), node(), state(), #cluster{}) -> result().
heard({progress, Progress}, Node, State, #cluster{progress = Known} = Data) ->
    {keep_state, Data#cluster{progress = Known#{Node => Progress}},
     [{state_timeout, ?STORING, over} || State =:= storing orelse State =:= publishing]};
heard({ended, Outcome, Error, IsProgramAlive}, Node, State, Data) ->
    part_ended({Outcome, Error, IsProgramAlive}, Node, State, Data);
heard({refused, Error}, Node, State, Data) when State =/= ended ->
    {next_state, ended, failed(of_node(Node, Error), Data)};
heard(cancelled, _, State, Data)
  when State =/= publishing, State =/= committing, State =/= ended ->
    {next_state, ended, cancelled(Data)};
heard(unready, _, copying, _) ->
    %% It looks what is new, and will be ready again soon: else they would rarely all be.
    keep_state_and_data;
heard({published, Manifest}, Node, publishing, Data) when Node =:= node() ->
    published(Manifest, Data);
heard(News, Node, State, #cluster{attempts = Attempts} = Data) ->
    Number = rabbit_hot_backup_attempts:number(Attempts),
    case {State, News} of
        {joining, {ready, _}} -> {keep_state_and_data, [postpone]};
        {joining, unready} -> {keep_state_and_data, [postpone]};
        {joining, {joined, Joined}} -> answered(Node, Joined, State, began(Node, Joined, Data));
        {copying, {ready, _}} -> answered(Node, ready, State, Data);
        {_, {ready, Number}} -> begins_anew(Node, State, Data);
        {excluding, {based, Number}} -> excluded(Data);
        {basing, {based, Number}} -> answered(Node, based, State, Data);
        {activating, {activated, Number, Members}} -> activated(Members, Data);
        {arming, {armed, Number, Armed}} -> answered(Node, Armed, State, Data);
        {arming, {committed, Number}} -> missed(committed, {Node, 0}, Data);
        {locking, {committed, Number}} -> missed(committed, {Node, 0}, Data);
        {locking, {locked, Number, Position}} -> hold(Position, Data);
        {holding, {held, Number, Report}} -> answered(Node, Report, State, Data);
        {storing, {prepared, Prepared}} -> answered(Node, Prepared, State, Data);
        %% Of an earlier attempt, or of what is over.
        _ -> keep_state_and_data
    end.

-spec answered(node(), term(), state(), #cluster{}) -> result().
%% Goes on when all have answered.
answered(Node, Answer, State, #cluster{answers = Answers, plan = #{nodes := Nodes}} = Data) ->
    Known = Answers#{Node => Answer},
    case map_size(Known) =:= length(Nodes) of
        true -> all_answered(State, Known, Data#cluster{answers = Known});
        false -> {keep_state, Data#cluster{answers = Known}}
    end.

-spec all_answered(state(), #{node() => term()}, #cluster{}) -> result().
all_answered(joining, _, #cluster{callers = Callers, job = Job} = Data) ->
    lists:foreach(fun(Caller) -> gen_statem:reply(Caller, {ok, Job}) end, Callers),
    {next_state, copying, Data#cluster{callers = []}};
all_answered(copying, _, #cluster{pause_until = Until} = Data) ->
    case Until - erlang:monotonic_time(millisecond) of
        Left when Left > 0 -> {keep_state, Data, [{state_timeout, Left, paused}]};
        _ -> prepare(Data)
    end;
all_answered(basing, _, #cluster{plan = #{metadata := leader}} = Data) ->
    flush(Data);
all_answered(basing, _, Data) ->
    activate(Data);
all_answered(arming, Armed, #cluster{metadata = Node, plan = #{metadata := leader, nodes := Nodes,
                                                               members := Members}} = Data) ->
    case [Now || #{members := Now} <- maps:values(Armed), Now =/= Members] of
        [] ->
            ok = rabbit_hot_backup_part:tell(Node, Data#cluster.id,
                                             {lock, number(Data), Nodes, length(Members)}),
            {next_state, locking, Data#cluster{armed = Armed}};
        [Now | _] ->
            {next_state, ended, failed(rabbit_hot_backup_members:differ(Members, Now), Data)}
    end;
all_answered(arming, Armed, Data) ->
    hold(none, Data#cluster{armed = Armed});
all_answered(holding, Reports, Data) ->
    judge(Reports, Data);
all_answered(storing, Prepared, Data) ->
    publish(Prepared, Data).

-spec began(node(), rabbit_hot_backup_part:joined(), #cluster{}) -> #cluster{}.
began(Node, #{job := Job}, Data) when Node =:= node() ->
    Data#cluster{job = Job};
began(_, _, Data) ->
    Data.

-spec tell_all(rabbit_hot_backup_part:order(), #cluster{}) -> ok.
tell_all(Order, #cluster{id = Id, plan = #{nodes := Nodes}}) ->
    lists:foreach(fun(Node) -> rabbit_hot_backup_part:tell(Node, Id, Order) end, Nodes).

-spec number(#cluster{}) -> non_neg_integer().
number(#cluster{attempts = Attempts}) ->
    rabbit_hot_backup_attempts:number(Attempts).

%% ------------------------------------------------------------------
%% An attempt

-spec prepare(#cluster{}) -> result().
prepare(#cluster{attempts = Earlier, plan = #{nodes := Nodes, metadata := Metadata}} = Data) ->
    Node = case Metadata of
               leader -> rabbit_hot_backup_khepri:leader();
               _ -> Metadata
           end,
    Next = Data#cluster{attempts = rabbit_hot_backup_attempts:next(Earlier), metadata = Node},
    case {lists:member(Node, Nodes),
          Metadata =:= leader orelse rabbit_hot_backup_attempts:is_polite(Earlier)} of
        {true, true} ->
            lists:foreach(fun(Each) -> prepare(Each, false, Next) end, Nodes),
            {next_state, basing, Next};
        {true, false} ->
            ok = prepare(Node, true, Next),
            {next_state, excluding, Next};
        {false, _} ->
            leaderless(Data)
    end.

-spec prepare(node(), Lock :: boolean(), #cluster{}) -> ok.
prepare(Node, Lock, #cluster{id = Id, plan = #{nodes := Nodes}} = Data) ->
    rabbit_hot_backup_part:tell(Node, Id, {prepare, number(Data), #{lock => Lock, nodes => Nodes}}).

-spec excluded(#cluster{}) -> result().
%% Whoever wants to change metadata waits, on all nodes: the others count only now.
excluded(#cluster{metadata = Node, plan = #{nodes := Nodes}} = Data) ->
    lists:foreach(fun(Other) -> prepare(Other, false, Data) end, Nodes -- [Node]),
    case Nodes of
        [Node] -> activate(Data);
        _ -> {next_state, basing, Data}
    end.

-spec begins_anew(node(), state(), #cluster{}) -> result().
%% Its engine has not come to a stop.
begins_anew(Node, State, Data)
  when State =:= excluding; State =:= basing; State =:= activating; State =:= arming;
       State =:= locking ->
    {next_state, Next, Missed} = missed(refused, {Node, 0}, Data),
    {next_state, Next, Missed, [postpone]};
begins_anew(_, _, _) ->
    keep_state_and_data.

-spec leaderless(#cluster{}) -> result().
%% Until there is one, or it is given up; the engines go on meanwhile.
leaderless(#cluster{attempts = Attempts} = Data) ->
    case rabbit_hot_backup_attempts:missed(leaderless, {node(), 0}, Attempts) of
        {again, Pause, Next} ->
            {keep_state, Data#cluster{attempts = Next}, [{state_timeout, Pause, paused}]};
        {given_up, Error} ->
            {next_state, ended, failed(Error, Data)}
    end.

-spec activate(#cluster{}) -> result().
activate(#cluster{id = Id, metadata = Node, plan = #{nodes := Nodes}} = Data) ->
    ok = rabbit_hot_backup_part:tell(Node, Id, {activate, number(Data), Nodes}),
    {next_state, activating, Data}.

-spec activated([node()], #cluster{}) -> result().
%% To join or to leave a cluster is a change of its metadata: before the checkpoint, and then it
%% shows here, or a commit since.
activated(Members, #cluster{plan = #{members := Members}} = Data) ->
    flush(Data);
activated(Now, #cluster{plan = #{members := Members}} = Data) ->
    {next_state, ended, failed(rabbit_hot_backup_members:differ(Members, Now), Data)}.

-spec flush(#cluster{}) -> result().
flush(#cluster{metadata = Node} = Data) ->
    ok = tell_all({flush, number(Data), Node}, Data),
    {next_state, arming, Data}.

-spec hold(rabbit_hot_backup_khepri:position() | none, #cluster{}) -> result().
hold(Position, #cluster{id = Id, armed = Armed, attempts = Attempts} = Data) ->
    case rabbit_hot_backup_attempts:appoint(Id, node(), Armed, Attempts) of
        {ok, Appointments} ->
            Number = number(Data),
            maps:fold(fun(Node, Appointment, ok) ->
                              rabbit_hot_backup_part:tell(
                                Node, Id, {hold, Number, Appointment, Position})
                      end, ok, Appointments),
            {next_state, holding, Data};
        {unknown, Node} ->
            missed(silent, {Node, 0}, Data)
    end.

-spec judge(#{node() => {rabbit_hot_backup_holder:held(), rabbit_hot_backup_ping:bounds()}},
            #cluster{}) -> result().
judge(Reports, #cluster{armed = Armed, attempts = Attempts} = Data) ->
    case rabbit_hot_backup_attempts:judge(node(), Armed, Reports, Attempts) of
        {held, #{pause_us := Pause, overlap_us := Overlap, proof := Proof} = Stop} ->
            rabbit_hot_backup_compat:log(
              info, "the nodes of the cluster stood still together in attempt ~b: none paused for "
              "longer than ~.1f ms, ~.1f ms together, proven by ~ts",
              [number(Data), Pause / 1000, Overlap / 1000, Proof]),
            ok = tell_all({verdict, number(Data), held}, Data),
            {next_state, storing, Data#cluster{stop = Stop}};
        {miss, Miss} ->
            {Time, Node} = lists:max([{Acquisition, Node}
                                      || {Node, {#{acquisition_us := Acquisition}, _}}
                                             <- maps:to_list(Reports)]),
            missed(Miss, {Node, Time}, Data)
    end.

-spec missed(rabbit_hot_backup_attempts:miss(), {node(), non_neg_integer()}, #cluster{}) ->
          result().
missed(Miss, {Node, _} = Slowest, #cluster{attempts = Attempts} = Data) ->
    Number = number(Data),
    ok = tell_all({verdict, Number, rabbit_hot_backup_attempts:verdict(Miss)}, Data),
    case rabbit_hot_backup_attempts:missed(Miss, Slowest, Attempts) of
        {again, Pause, Next} ->
            rabbit_hot_backup_compat:log(info, "attempt ~b to stop the cluster was of no use: ~ts "
                                         "(~ts)", [Number, Miss, Node]),
            {next_state, copying,
             Data#cluster{attempts = Next, armed = #{},
                          pause_until = erlang:monotonic_time(millisecond) + Pause}};
        {given_up, Error} ->
            {next_state, ended, failed(Error, Data)}
    end.

-spec waited(state(), #cluster{}) -> result().
%% For long enough.
waited(ended, _) ->
    stop;
waited(copying, #cluster{answers = Answers, plan = #{nodes := Nodes}} = Data) ->
    case map_size(Answers) =:= length(Nodes) of
        true -> prepare(Data);
        false -> keep_state_and_data
    end;
waited(committing, Data) ->
    done(Data);
waited(checking, Data) ->
    {next_state, ended, failed(silent("a node of the cluster", "asked who takes part"), Data)};
waited(State, #cluster{answers = Answers, metadata = Metadata,
                       plan = #{nodes := Nodes}} = Data) ->
    Node = case State of
               _ when State =:= excluding; State =:= activating; State =:= locking -> Metadata;
               publishing -> node();
               _ -> hd(Nodes -- maps:keys(Answers))
           end,
    if
        State =:= joining -> {next_state, ended, failed(silent(Node, "told to begin"), Data)};
        State =:= storing -> {next_state, ended, failed(silent(Node, "writing its part"), Data)};
        State =:= publishing -> doubt(silent(Node, "publishing the backup"), Data);
        true -> missed(silent, {Node, 0}, Data)
    end.

-spec silent(node() | string(), string()) -> rabbit_hot_backup_protocol:error().
silent(Node, While) ->
    rabbit_hot_backup_protocol:error(
      stalled, "~ts did not answer in time when it was ~ts", [Node, While],
      "Look at the load of that node, and at the disk that its repository is on.").

%% ------------------------------------------------------------------
%% The end

-spec publish(#{node() => map()}, #cluster{}) -> result().
publish(Prepared, #cluster{id = Id, stop = Stop,
                           plan = #{nodes := Nodes, missing := Missing}} = Data) ->
    Whole = #{parts => [Part || {_, Part} <- lists:sort(maps:to_list(Prepared))],
              stop => Stop,
              missing => [#{node => atom_to_binary(Node)} || Node <- Missing]},
    ok = rabbit_hot_backup_part:tell(node(), Id, {publish, Whole}),
    Warnings = [<<Node/binary, ": ", Warning/binary>>
                || #{node := Node, warnings := Said} <- maps:values(Prepared), Warning <- Said],
    {next_state, publishing, Data#cluster{uncommitted = Nodes, warnings = Warnings}}.

-spec published(binary(), #cluster{}) -> result().
published(Manifest, #cluster{id = Id, plan = #{nodes := Nodes}} = Data) ->
    lists:foreach(fun(Node) -> rabbit_hot_backup_part:tell(Node, Id, {commit, Manifest}) end,
                  Nodes -- [node()]),
    {next_state, committing, Data#cluster{manifest = Manifest}}.

-spec part_ended({rabbit_hot_backup_jobs:state(), rabbit_hot_backup_protocol:error() | none,
                  IsProgramAlive :: boolean()}, node(), state(), #cluster{}) -> result().
part_ended(_, _, ended, _) ->
    keep_state_and_data;
part_ended({done, _, _}, Node, committing, Data) ->
    committed(Node, committing, Data);
part_ended({done, _, _}, Node, publishing, Data) when Node =:= node() ->
    doubt(silent(Node, "publishing the backup"), Data);
part_ended({_, Error, true}, Node, publishing, Data) when Node =:= node() ->
    %% The program says that it has not published.
    {next_state, ended, failed(of_node(Node, Error), Data)};
part_ended({_, Error, false}, Node, publishing, Data) when Node =:= node() ->
    doubt(of_node(Node, Error), Data);
part_ended({_, Error, _}, Node, State, Data) when State =:= publishing; State =:= committing ->
    uncommitted(of_node(Node, Error), Node, State, Data);
part_ended({_, Error, _}, Node, _, Data) ->
    {next_state, ended, failed(of_node(Node, Error), Data)}.

-spec lost(node(), term(), state(), #cluster{}) -> result().
lost(_, _, ended, Data) ->
    {keep_state, Data};
lost(Node, Reason, State, Data) ->
    Error = case Reason of
                noconnection ->
                    rabbit_hot_backup_protocol:error(
                      failed, "~ts cannot be reached any more", [Node],
                      "Look whether the node runs, and at the network.");
                _ ->
                    rabbit_hot_backup_protocol:error(
                      failed, "the plugin rabbitmq_hot_backup does not run on ~ts any more", [Node],
                      "Look into the log of that node.")
            end,
    case State of
        publishing when Node =:= node() -> doubt(Error, Data);
        _ when State =:= publishing; State =:= committing ->
            uncommitted(Error, Node, State, Data);
        _ -> {next_state, ended, failed(Error, Data)}
    end.

-spec uncommitted(rabbit_hot_backup_protocol:error(), node(), state(), #cluster{}) -> result().
%% The part is there and belongs to a backup, or will; only its repository does not know yet.
uncommitted(Error, Node, State, Data) ->
    rabbit_hot_backup_compat:log(
      warning, "~ts may not have got the manifest of the cluster backup: ~ts",
      [Node, rabbit_hot_backup_protocol:format_error(Error)]),
    committed(Node, State, Data).

-spec committed(node(), publishing | committing, #cluster{}) -> result().
committed(Node, State, #cluster{uncommitted = Uncommitted} = Data) ->
    case {State, Uncommitted -- [Node]} of
        {committing, []} -> done(Data);
        {_, Others} -> {keep_state, Data#cluster{uncommitted = Others}}
    end.

-spec done(#cluster{}) -> result().
done(#cluster{id = Id} = Data) ->
    rabbit_hot_backup_compat:log(info, "cluster backup ~ts is done", [Id]),
    {next_state, ended, Data}.

-spec cancelled(#cluster{}) -> #cluster{}.
cancelled(Data) ->
    failed(rabbit_hot_backup_protocol:error(cancelled, "the backup of the cluster was cancelled"),
           Data).

-spec doubt(rabbit_hot_backup_protocol:error(), #cluster{}) -> result().
%% The backup may exist: the other parts stay.
doubt(Error, Data) ->
    ok = tell_all(in_doubt, Data),
    {next_state, ended, failed(Error, Data)}.

-spec failed(rabbit_hot_backup_protocol:error(), #cluster{}) -> #cluster{}.
failed(Error, #cluster{id = Id, callers = Callers} = Data) ->
    rabbit_hot_backup_compat:log(warning, "cluster backup ~ts failed: ~ts",
                                 [Id, rabbit_hot_backup_protocol:format_error(Error)]),
    lists:foreach(fun(Caller) -> gen_statem:reply(Caller, {error, Error}) end, Callers),
    ok = tell_all({fail, Error}, Data),
    Data#cluster{error = Error, callers = []}.

-spec of_node(node(), rabbit_hot_backup_protocol:error() | none) ->
          rabbit_hot_backup_protocol:error().
of_node(Node, none) ->
    rabbit_hot_backup_protocol:error(failed, "~ts: its part was ended early", [Node]);
of_node(Node, #{message := Message} = Error) ->
    Error#{message := <<(atom_to_binary(Node))/binary, ": ", Message/binary>>}.

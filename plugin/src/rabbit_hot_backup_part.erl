%% This node's part of a cluster backup: between the conductor, which may be on another node
%% (rabbit_hot_backup_conductor), and the engine of this one.
%%
%% The engine's requests are answered when the conductor says what is next. Each is with a worker of
%% the session, which asks here by at/2: where the engine has got to, and what is to be done now.
%% So this process never waits for anybody, and never runs anything that takes long. It answers
%% pings at once.
%%
%% Whatever happens, no worker waits for ever: the conductor has a deadline for each of its steps,
%% it is watched, and in a stop its silence is measured as well. No node is held by what happens
%% here: the holder keeps its own deadline.
-module(rabbit_hot_backup_part).

-behaviour(gen_server).

%% For the conductor.
-export([start_link/0, about/1, tell/3]).

%% For the session.
-export([of_job/1, at/2, progressed/2]).

%% For whoever wants its end.
-export([cancel/1]).

-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([id/0, part/0, spec/0, about/0, order/0, step/0, verdict/0, news/0, joined/0]).

-type id() :: binary().
%% Of the cluster backup.

-type part() :: #{cluster_backup := id(), coordinator := node(), max_pause => pos_integer(),
                  rate_limit => non_neg_integer()}.
%% Of a job. The last two count in place of the node's settings.

-type spec() :: #{conductor := pid(), part := part(), missing := [binary()],
                  repository => binary(), lock_patience := non_neg_integer(), actor := rabbit_hot_backup_jobs:actor()}.

-type about() :: #{node := node(), version := binary(), members := [node()], sees := [node()],
                   is_disc := boolean(), schedules_cluster => boolean()}.

-type verdict() :: held | committed | late | apart.

-type attempt() :: non_neg_integer().

-type order() :: {join, spec()}
               | {prepare, attempt(), #{lock := boolean(), nodes := [node()]}}
               | {activate, attempt(), [node()]}
               | {flush, attempt(), Metadata :: node()}
               | {lock, attempt(), [node()], Members :: pos_integer()}
               | {hold, attempt(), rabbit_hot_backup_holder:appointment(),
                  rabbit_hot_backup_khepri:position() | none}
               | {verdict, attempt(), verdict()}
               | {publish, map()}
               | {commit, Manifest :: binary()}
               | in_doubt
               | {fail, rabbit_hot_backup_protocol:error()}.
%% What the conductor says. `lock` and a position are for Khepri. `in_doubt`: nobody knows whether
%% the backup was published.

-type step() :: {ready, map()}
              | based
              | {activated, [Member :: node()]}
              | {armed, #{holder := pid(), max_pause := pos_integer(), members => [node()]}}
              | {locked, rabbit_hot_backup_khepri:position()}
              | committed
              | {held, rabbit_hot_backup_holder:held()}
              | {prepared, map()}
              | {published, Manifest :: binary()}.
%% Where the engine has got to. `committed`: metadata was changed before it came to a stop.

-type joined() :: #{job := rabbit_hot_backup_jobs:id()}.

-type news() :: {joined, joined()}
              | {refused, rabbit_hot_backup_protocol:error()}
              | {progress, {Phase :: binary(), Done :: non_neg_integer(),
                            Total :: non_neg_integer()}}
              | {ready, attempt()} | unready | cancelled
              | {based | committed, attempt()}
              | {activated, attempt(), [node()]}
              | {armed, attempt(), #{holder := pid(), max_pause := pos_integer(),
                                     members => [node()],
                                     bounds := rabbit_hot_backup_ping:bounds()}}
              | {locked, attempt(), rabbit_hot_backup_khepri:position()}
              | {held, attempt(), {rabbit_hot_backup_holder:held(),
                                   rabbit_hot_backup_ping:bounds()}}
              | {prepared, map()}
              | {published, binary()}
              | {ended, rabbit_hot_backup_jobs:state(), rabbit_hot_backup_protocol:error() | none,
                 IsProgramAlive :: boolean()}.
%% What the conductor hears, as `{part_news, node(), news()}`.

%% An engine that is ready and not needed yet looks what is new in between, this often.
-define(AGAIN, 1800).
%% The longest silence of the conductor in a stop. Its own deadlines are shorter.
-define(SILENCE, 110 * 1000).
%% How long the others' clocks are asked.
-define(PINGS, 2000).

-record(waiting, {step :: step(), from :: gen_server:from(), timer :: reference() | undefined}).

-record(part, {id :: id(),
               conductor :: pid(),
               monitor :: reference(),
               coordinator :: node(),
               %% Orders the backup from the program.
               worker :: reference() | undefined,
               session :: pid() | undefined,
               job :: rabbit_hot_backup_jobs:id() | undefined,
               attempt = 0 :: non_neg_integer(),
               nodes = [] :: [node()],
               %% What the engine has not asked for yet.
               order :: order() | undefined,
               waiting :: #waiting{} | undefined,
               pinger :: reference() | undefined,
               bounds :: rabbit_hot_backup_ping:bounds() | undefined,
               %% What it has stored is published, or not: it is no more to be cancelled.
               is_decided = false :: boolean(),
               failed :: rabbit_hot_backup_protocol:error() | undefined}).

-type state() :: none | #part{}.

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], [{spawn_opt, [{priority, high}]}]) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec about([node()]) -> [about()].
%% What the nodes say of themselves that answer within ten seconds.
about(Nodes) ->
    {Answers, _} = gen_server:multi_call(Nodes, ?MODULE, about, 10000),
    [About || {_, About} <- Answers].

-spec tell(node(), id(), order()) -> ok.
%% An order of the conductor's. It is lost when the node is not there; the conductor watches it.
tell(Node, Id, Order) ->
    _ = erlang:send({?MODULE, Node}, {conductor, Id, Order}, [noconnect]),
    ok.

-spec of_job(rabbit_hot_backup_jobs:id()) -> part() | #{}.
%% What a job is a part of; empty when it is a backup of its own.
of_job(Job) ->
    case rabbit_hot_backup_jobs:find(Job) of
        {ok, #{part := Part}} -> Part;
        _ -> #{}
    end.

-spec at(id(), step()) -> order() | again | ok.
%% Says where the engine is, and waits for what is next. `again`: it was ready, and is not needed
%% yet. `{fail, Error}` whenever the cluster backup is over. Called by a worker of the session.
at(Id, Step) ->
    try
        gen_server:call(?MODULE, {at, Id, Step}, infinity)
    catch
        exit:_ when element(1, Step) =:= prepared -> in_doubt;
        exit:_ -> {fail, over()}
    end.

-spec cancel(rabbit_hot_backup_jobs:id()) -> ok.
%% Asks the conductor to end the cluster backup, on all nodes: only it knows whether it is too late.
cancel(Job) ->
    gen_server:cast(?MODULE, {cancel, Job}).

-spec progressed(id(), {binary(), non_neg_integer(), non_neg_integer()}) -> ok.
progressed(Id, Progress) ->
    gen_server:cast(?MODULE, {progressed, Id, Progress}).

%% ------------------------------------------------------------------

-spec init([]) -> {ok, state()}.
%% Parts of an earlier life have nobody who conducts them.
init([]) ->
    ok = rabbit_hot_backup_jobs:subscribe(),
    lists:foreach(fun(#{id := Job, part := _, session := Session}) ->
                          rabbit_hot_backup_session:cancel(Session, Job);
                     (_) ->
                          ok
                  end, rabbit_hot_backup_jobs:running()),
    {ok, none}.

-spec handle_call(term(), gen_server:from(), state()) ->
          {reply, term(), state()} | {noreply, state()}.
handle_call(about, From, State) ->
    %% The metadata store is asked, which may be busy.
    _ = spawn(fun() -> gen_server:reply(From, about()) end),
    {noreply, State};
handle_call({at, Id, Step}, From, #part{id = Id, failed = undefined} = Part) ->
    {noreply, arrived(Step, From, waited_no_more(Part))};
handle_call({at, Id, _}, _, #part{id = Id, failed = Error} = Part) ->
    {reply, {fail, Error}, Part};
handle_call(_, _, State) ->
    {reply, {fail, over()}, State}.

-spec handle_cast(term(), state()) -> {noreply, state()}.
handle_cast({progressed, Id, Progress}, #part{id = Id} = Part) ->
    {noreply, report({progress, Progress}, Part)};
handle_cast({cancel, Job}, #part{job = Job} = Part) ->
    {noreply, report(cancelled, Part)};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), state()) -> {noreply, state()}.
handle_info({ping, From, Reference}, State) ->
    ok = rabbit_hot_backup_ping:answer(From, Reference),
    {noreply, State};
handle_info({conductor, Id, {join, Spec}}, State) ->
    {noreply, join(Id, Spec, State)};
handle_info({conductor, Id, Order}, #part{id = Id, failed = undefined} = Part) ->
    {noreply, ordered(Order, Part)};
handle_info({timeout, Timer, waiting}, #part{waiting = #waiting{timer = Timer}} = Part) ->
    {noreply, waited(Part)};
handle_info({job_ended, #{part := #{cluster_backup := Id}} = Job}, #part{id = Id} = Part) ->
    {noreply, ended(Job, Part)};
handle_info({'DOWN', Monitor, process, _, Reason}, #part{worker = Monitor} = Part) ->
    {noreply, began(Reason, Part#part{worker = undefined})};
handle_info({'DOWN', Monitor, process, _, Reason}, #part{pinger = Monitor} = Part) ->
    {noreply, pinged(Reason, Part#part{pinger = undefined})};
handle_info({'DOWN', Monitor, process, _, _}, #part{monitor = Monitor} = Part) ->
    {noreply, abandoned(Part)};
handle_info(_, State) ->
    {noreply, State}.

-spec about() -> about().
about() ->
    #{node => node(),
      version => rabbit_hot_backup_compat:plugin_version(),
      members => rabbit_hot_backup_compat:members(),
      sees => [node() | nodes()],
      is_disc => rabbit_hot_backup_compat:is_disc_node(),
      schedules_cluster => rabbit_hot_backup_duty:schedules_cluster()}.

%% ------------------------------------------------------------------
%% Beginning and end

-spec join(id(), spec(), state()) -> state().
join(Id, #{conductor := Conductor, part := #{coordinator := Coordinator}} = Spec, none) ->
    {_, Worker} = spawn_monitor(fun() -> exit({ordered, order(Spec)}) end),
    #part{id = Id, conductor = Conductor, monitor = erlang:monitor(process, Conductor),
          coordinator = Coordinator, worker = Worker};
join(_, #{conductor := Conductor}, #part{id = Other} = Part) ->
    Error = rabbit_hot_backup_protocol:error(
              busy, "the node takes part in the cluster backup ~ts", [Other],
              "Wait until it has finished, or cancel it."),
    ok = send(Conductor, {refused, Error}),
    Part.

-spec order(spec()) -> {ok, pid(), rabbit_hot_backup_jobs:id()}
                     | {error, rabbit_hot_backup_protocol:error()}.
order(#{actor := Actor} = Spec) ->
    case Actor =/= rabbit_hot_backup_run:actor() orelse rabbit_hot_backup_space:check() of
        {error, Error} -> {error, Error};
        _ -> request(Spec)
    end.

-spec request(spec()) -> {ok, pid(), rabbit_hot_backup_jobs:id()}
                       | {error, rabbit_hot_backup_protocol:error()}.
request(#{part := #{cluster_backup := Id, coordinator := Coordinator} = Part, actor := Actor,
        lock_patience := LockPatience, missing := Missing} = Spec) ->
    Repository = case Spec of
                     #{repository := Named} -> Named;
                     #{} -> rabbit_hot_backup_settings:repository()
                 end,
    rabbit_hot_backup_order:request(
      #{kind => backup, repository => Repository, actor => Actor, part => Part},
      #{repository => Repository, lock_patience => LockPatience,
        part => #{cluster_backup => Id, coordinator => atom_to_binary(Coordinator),
                  missing => Missing}}).

-spec began(term(), #part{}) -> state().
began({ordered, {ok, Session, Job}}, #part{failed = Failed} = Part) ->
    Known = Part#part{session = Session, job = Job},
    case Failed of
        undefined -> report({joined, #{job => Job}}, Known);
        _ -> cancelled(Known)
    end;
began({ordered, {error, Error}}, Part) ->
    over({refused, Error}, Part);
began(Reason, Part) ->
    over({refused, rabbit_hot_backup_protocol:error(
                     failed, "the program could not be asked for a backup: ~tp", [Reason])}, Part).

-spec ended(rabbit_hot_backup_jobs:job(), #part{}) -> none.
ended(#{state := State, session := Session} = Job, Part) ->
    over({ended, State, maps:get(error, Job, none), is_process_alive(Session)}, Part).

-spec over(news(), #part{}) -> none.
over(News, #part{waiting = undefined, monitor = Monitor} = Part) ->
    _ = report(News, Part),
    true = erlang:demonitor(Monitor, [flush]),
    none;
over(News, Part) ->
    over(News, answer({fail, over()}, Part)).

-spec abandoned(#part{}) -> #part{}.
%% The conductor is gone. Where the backup may have been published, the part stays as it is.
abandoned(#part{coordinator = Coordinator, waiting = #waiting{step = {prepared, _}}} = Part)
  when Coordinator =/= node() ->
    (answer(in_doubt, Part))#part{failed = lost(Coordinator)};
abandoned(#part{coordinator = Coordinator} = Part) ->
    fail(lost(Coordinator), Part).

-spec fail(rabbit_hot_backup_protocol:error(), #part{}) -> #part{}.
%% An engine that waits for an answer gets the error, and ends its job by that. Another one is told
%% to end it.
fail(_, #part{failed = Failed} = Part) when Failed =/= undefined ->
    Part;
fail(Error, #part{waiting = undefined} = Part) ->
    cancelled(Part#part{failed = Error});
fail(Error, Part) ->
    (answer({fail, Error}, Part))#part{failed = Error}.

-spec cancelled(#part{}) -> #part{}.
cancelled(#part{session = Session, is_decided = IsDecided} = Part)
  when Session =:= undefined; IsDecided ->
    Part;
cancelled(#part{id = Id, session = Session, job = Job, failed = Error} = Part) ->
    rabbit_hot_backup_compat:log(info, "job ~b, a part of ~ts, is cancelled: ~ts",
                                 [Job, Id, rabbit_hot_backup_protocol:format_error(Error)]),
    ok = rabbit_hot_backup_jobs:cancelled_for(Job, Error),
    ok = rabbit_hot_backup_session:cancel(Session, Job),
    Part.

-spec lost(node()) -> rabbit_hot_backup_protocol:error().
lost(Coordinator) ->
    rabbit_hot_backup_protocol:error(
      failed, "~ts, which conducted the backup of the cluster, is gone or cannot be reached",
      [Coordinator], "Start the backup again when it is there, or on another node.").

-spec over() -> rabbit_hot_backup_protocol:error().
over() ->
    rabbit_hot_backup_protocol:error(failed, "the backup of the cluster is over").

%% ------------------------------------------------------------------
%% Where the engine is

-spec arrived(step(), gen_server:from(), #part{}) -> #part{}.
arrived({ready, _} = Step, From, #part{order = Order} = Part) ->
    Known = Part#part{order = undefined, waiting = wait(Step, From)},
    case Order of
        {prepare, _, _} -> answer(Order, Known);
        _ -> report({ready, Known#part.attempt}, Known)
    end;
arrived({published, Manifest}, From, Part) ->
    gen_server:reply(From, ok),
    report({published, Manifest}, Part);
arrived(Step, From, #part{order = undefined} = Part) ->
    reached(Part#part{waiting = wait(Step, From)});
arrived(Step, From, #part{order = Order} = Part) ->
    answer(Order, Part#part{order = undefined, waiting = wait(Step, From)}).

-spec reached(#part{}) -> #part{}.
%% Tells the conductor; of a stop together with what is known of the others' clocks right before it
%% and right after it.
reached(#part{waiting = #waiting{step = Step}, attempt = Attempt, bounds = Bounds} = Part) ->
    case Step of
        based -> report({based, Attempt}, Part);
        committed -> report({committed, Attempt}, Part);
        {activated, Members} -> report({activated, Attempt, Members}, Part);
        {prepared, Prepared} -> report({prepared, Prepared}, Part);
        {locked, Position} -> report({locked, Attempt, Position}, Part);
        {armed, _} when Bounds =:= undefined -> Part;
        {armed, Armed} ->
            report({armed, Attempt, Armed#{bounds => Bounds}}, Part#part{bounds = undefined});
        {held, _} when Bounds =:= undefined -> ping(Part);
        {held, Held} -> report({held, Attempt, {Held, Bounds}}, Part#part{bounds = undefined})
    end.

-spec ping(#part{}) -> #part{}.
ping(#part{pinger = undefined, nodes = Nodes} = Part) ->
    Others = [{Node, {?MODULE, Node}} || Node <- Nodes, Node =/= node()],
    {_, Pinger} = spawn_monitor(
                    fun() -> exit({bounds, rabbit_hot_backup_ping:bounds(Others, ?PINGS)}) end),
    Part#part{pinger = Pinger};
ping(Part) ->
    Part.

-spec pinged(term(), #part{}) -> #part{}.
pinged(Ended, #part{waiting = Waiting} = Part) ->
    Known = Part#part{bounds = case Ended of
                                   {bounds, Bounds} -> Bounds;
                                   _ -> #{}
                               end},
    case Waiting of
        #waiting{step = {What, _}} when What =:= armed; What =:= held -> reached(Known);
        _ -> Known
    end.

-spec wait(step(), gen_server:from()) -> #waiting{}.
%% How long the others may take for what they store, only the conductor knows.
wait(Step, From) ->
    Time = case Step of
               {ready, _} -> ?AGAIN;
               {prepared, _} -> infinity;
               _ -> ?SILENCE
           end,
    #waiting{step = Step, from = From,
             timer = case Time of
                         infinity -> undefined;
                         _ -> erlang:start_timer(Time, self(), waiting)
                     end}.

-spec waited(#part{}) -> #part{}.
%% For long enough.
waited(#part{waiting = #waiting{step = {ready, _}}} = Part) ->
    report(unready, answer(again, Part));
waited(#part{coordinator = Coordinator} = Part) ->
    fail(rabbit_hot_backup_protocol:error(
           failed, "~ts, which conducts the backup of the cluster, was silent for ~b s",
           [Coordinator, ?SILENCE div 1000],
           "Look at the load of that node, and start the backup again."), Part).

-spec waited_no_more(#part{}) -> #part{}.
%% Whoever waited before has been given up.
waited_no_more(#part{waiting = #waiting{timer = Timer}} = Part) ->
    _ = [erlang:cancel_timer(Timer) || Timer =/= undefined],
    Part#part{waiting = undefined};
waited_no_more(Part) ->
    Part.

-spec answer(order() | again, #part{}) -> #part{}.
answer(Order, #part{waiting = #waiting{from = From}} = Part) ->
    gen_server:reply(From, Order),
    waited_no_more(Part).

%% ------------------------------------------------------------------
%% What the conductor says

-spec ordered(order(), #part{}) -> #part{}.
%% What an attempt was meant for that is over is dropped. An engine that was told to look again
%% gets its order when it is ready next.
ordered({prepare, Attempt, #{nodes := Nodes}} = Order, Part) ->
    Begun = Part#part{attempt = Attempt, nodes = Nodes, bounds = undefined, order = undefined},
    case Begun of
        #part{waiting = #waiting{step = {ready, _}}} -> answer(Order, Begun);
        _ -> Begun#part{order = Order}
    end;
ordered({activate, Attempt, _} = Order, #part{attempt = Attempt,
                                              waiting = #waiting{step = based}} = Part) ->
    answer(Order, Part);
ordered({flush, Attempt, _} = Order,
        #part{attempt = Attempt, waiting = #waiting{step = Step}} = Part)
  when Step =:= based; element(1, Step) =:= activated ->
    ping(answer(Order, Part));
ordered({lock, Attempt, _, _} = Order, #part{attempt = Attempt,
                                             waiting = #waiting{step = {armed, _}}} = Part) ->
    answer(Order, Part);
ordered({hold, Attempt, _, _} = Order, #part{attempt = Attempt,
                                             waiting = #waiting{step = {Step, _}}} = Part)
  when Step =:= armed; Step =:= locked ->
    answer(Order, Part);
ordered({verdict, Attempt, _} = Order, #part{attempt = Attempt} = Part) ->
    case Part of
        #part{waiting = #waiting{step = {ready, _}}} -> Part;
        #part{waiting = #waiting{step = {prepared, _}}} -> Part;
        #part{waiting = #waiting{}} -> answer(Order, Part);
        #part{order = {prepare, _, _}} -> Part#part{order = undefined};
        #part{} -> Part#part{order = Order}
    end;
ordered(Order, #part{waiting = #waiting{step = {prepared, _}}} = Part)
  when Order =:= in_doubt; element(1, Order) =:= publish; element(1, Order) =:= commit ->
    answer(Order, Part#part{is_decided = true});
ordered({fail, Error}, Part) ->
    fail(Error, Part);
ordered(_, Part) ->
    Part.

-spec report(news(), #part{}) -> #part{}.
report(News, #part{conductor = Conductor} = Part) ->
    ok = send(Conductor, News),
    Part.

-spec send(pid(), news()) -> ok.
%% To a node that cannot be reached nothing is said: the monitor tells.
send(Conductor, News) ->
    _ = erlang:send(Conductor, {part_news, node(), News}, [noconnect]),
    ok.

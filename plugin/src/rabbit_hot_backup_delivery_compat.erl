%% How a message gets into one queue, and how the queue says that it has it: what differs between
%% releases of RabbitMQ, from 3.8 to 4.3.
%%
%% A message goes to the queue itself, past exchanges, bindings and channels, as a dead-lettered one
%% does. So it reaches no other queue, and keeps the exchange and the routing key that it was
%% published with. What a queue says comes as a message to the process that delivered; it goes
%% through event/2.
-module(rabbit_hot_backup_delivery_compat).

-export([open/2, type/1, identity/1, is_deleted/1, deliver/3, is_blocked/1, event/2, blocking_alarms/0]).

-export_type([target/0, message/0, outcome/0]).

-record(target, {name :: {resource, VHost :: binary(), queue, Name :: binary()},
                 queue :: term(),
                 state :: term(),
                 release :: release()}).

-type release() :: #{queue_type := module(), containers := boolean(), options := boolean(),
                     tags := boolean()}.
%% What this release has: rabbit_queue_type, from 3.9; message containers, from 3.13; options in place
%% of a delivery record, from 3.13; the queue's name in the tag of its `DOWN`, from 3.12. Found out
%% once: to look for a module that is not there takes longer than to deliver a message.

-opaque target() :: #target{}.
%% A queue, and what its type keeps for a process that delivers to it.

-type message() :: {Exchange :: binary(), RoutingKey :: binary(), Properties :: binary(),
                    Body :: binary()}.
%% The properties are those of AMQP 0-9-1's content header, encoded, flags first.

-type outcome() :: {settled | rejected, [Sequence :: non_neg_integer()]}.

%% AMQP 0-9-1's class of messages.
-define(BASIC, 60).

%% How long another node may take to say what it calls its member of a quorum queue.
-define(MEMBER_TIME, 5000).

-spec open(VHost :: binary(), Name :: binary()) -> {ok, target()} | {error, not_found}.
open(VHost, Name) ->
    Resource = rabbit_misc:r(VHost, queue, Name),
    case rabbit_amqqueue:lookup(Resource) of
        {ok, Queue} ->
            #{queue_type := Type} = Release = release(),
            {ok, #target{name = Resource, queue = Queue, state = Type:init(), release = Release}};
        {error, _} ->
            {error, not_found}
    end.

-spec release() -> release().
release() ->
    Type = case rabbit_hot_backup_compat:has(rabbit_queue_type, init, 0) of
               true -> rabbit_queue_type;
               false -> rabbit_hot_backup_queue_type
           end,
    #{queue_type => Type,
      containers => rabbit_hot_backup_compat:has(mc_amqpl, message, 3),
      options => rabbit_hot_backup_compat:has(Type, deliver, 4),
      tags => not rabbit_hot_backup_compat:has(Type, handle_down, 3)}.

-spec type(target()) -> binary().
type(#target{queue = Queue}) ->
    rabbit_hot_backup_queue_compat:type(Queue).

-spec identity(target()) -> binary().
%% Tells a queue from another one that has its name later; empty where nothing does. It outlives
%% restarts of the node, and is the same on all nodes. The members of a quorum queue have one each,
%% the first one's is taken. A classic queue has only its pid, which no restart leaves as it is.
identity(#target{queue = Queue}) ->
    case {amqqueue:get_type(Queue), amqqueue:get_type_state(Queue)} of
        {rabbit_stream_queue, #{name := Name}} ->
            base64:encode(unicode:characters_to_binary(Name));
        {rabbit_quorum_queue, #{nodes := Nodes}} ->
            {Member, _} = amqqueue:get_pid(Queue),
            member_identity(Member, lists:min(members(Nodes)));
        _ ->
            <<>>
    end.

-spec members([node()] | #{node() => term()}) -> [node()].
%% A map in later releases of 4.
members(Nodes) when is_map(Nodes) -> maps:keys(Nodes);
members(Nodes) -> Nodes.

-spec member_identity(atom(), node()) -> binary().
member_identity(Member, Node) ->
    %% Before 3.9 there are no Ra systems.
    Arguments = case rabbit_hot_backup_compat:has(ra_directory, uid_of, 2) of
                    true -> [quorum_queues, Member];
                    false -> [Member]
                end,
    try erpc:call(Node, ra_directory, uid_of, Arguments, ?MEMBER_TIME) of
        Uid when is_binary(Uid) -> base64:encode(Uid);
        _ -> <<>>
    catch
        %% The node is down, or of another release.
        error:{erpc, _} -> <<>>;
        error:{exception, _, _} -> <<>>
    end.

-spec is_deleted(target()) -> boolean().
%% Whether a queue that has said that it ended was deleted, maybe to be declared anew at once. A
%% classic queue says the same when its node stops; then it is still registered, with its pid.
is_deleted(#target{name = Name, queue = Queue} = Target) ->
    case rabbit_amqqueue:lookup(Name) of
        {ok, Now} -> type(Target) =/= <<"classic">>
                         orelse amqqueue:get_pid(Now) =/= amqqueue:get_pid(Queue);
        {error, _} -> true
    end.

-spec deliver(message(), Sequence :: non_neg_integer(), target()) ->
          {ok, target(), [outcome()]} | {error, term()}.
%% What the queue will say of the message names the sequence number.
deliver({Exchange, RoutingKey, Properties, Body}, Sequence,
        #target{name = {resource, VHost, queue, _}, queue = Queue, state = State, release = Release} = Target) ->
    Content = rabbit_binary_parser:ensure_content_decoded(
                {content, ?BASIC, none, Properties, rabbit_framing_amqp_0_9_1, [Body]}),
    XName = rabbit_misc:r(VHost, exchange, Exchange),
    case message(Release, XName, RoutingKey, Content) of
        {ok, Message} -> told(hand_over(Release, Queue, Message, Sequence, State), Target);
        {error, Reason} -> {error, Reason}
    end.

-spec message(release(), tuple(), binary(), term()) -> {ok, term()} | {error, term()}.
message(#{containers := true}, XName, RoutingKey, Content) ->
    mc_amqpl:message(XName, RoutingKey, Content);
message(#{containers := false}, XName, RoutingKey, Content) ->
    rabbit_basic:message(XName, RoutingKey, Content).

-spec hand_over(release(), term(), term(), non_neg_integer(), term()) -> term().
hand_over(#{options := true}, Queue, Message, Sequence, State) ->
    rabbit_queue_type:deliver([Queue], Message, #{correlation => Sequence, flow => flow}, State);
hand_over(#{options := false, queue_type := Type}, Queue, Message, Sequence, State) ->
    Delivery = rabbit_basic:delivery(false, true, Message, Sequence),
    Type:deliver([Queue], setelement(tuple_size(Delivery), Delivery, flow), State).

-spec is_blocked(target()) -> boolean().
%% Whether a classic queue has to work off what this process gave it before it is given more; an
%% event says when that is over. It is slow with a long mailbox. The other types bound themselves to
%% a few messages at a time for the sake of many publishers, and are fast with more.
is_blocked(Target) ->
    type(Target) =:= <<"classic">> andalso credit_flow:blocked().

-spec event(term(), target()) ->
          {ok, target(), [outcome()]} | deleted | ignored | {error, term()}.
%% Takes a cast's or another message of the process. Before 3.9 what a queue says does not name it.
event({queue_event, Name, Event},
      #target{name = Name, state = State, release = #{queue_type := Type}} = Target) ->
    told(Type:handle_event(Name, Event, State), Target);
event({confirm, _, _} = Event, #target{name = Name} = Target) ->
    event({queue_event, Name, Event}, Target);
event({reject_publish, _, _} = Event, #target{name = Name} = Target) ->
    event({queue_event, Name, Event}, Target);
event({ra_event, From, Event}, #target{name = Name} = Target) ->
    event({queue_event, Name, {From, Event}}, Target);
event({bump_credit, Credit}, Target) ->
    _ = credit_flow:handle_bump_msg(Credit),
    {ok, Target, []};
event({{'DOWN', Name}, _, process, Pid, Reason}, #target{name = Name, state = State} = Target) ->
    _ = credit_flow:peer_down(Pid),
    told(rabbit_queue_type:handle_down(Pid, Name, Reason, State), Target);
event({'DOWN', _, process, Pid, Reason},
      #target{state = State, release = #{tags := false, queue_type := Type}} = Target) ->
    _ = credit_flow:peer_down(Pid),
    told(Type:handle_down(Pid, Reason, State), Target);
event(_, _) ->
    ignored.

-spec told(term(), target()) -> {ok, target(), [outcome()]} | deleted | {error, term()}.
told({ok, State, Actions}, Target) ->
    {ok, Target#target{state = State}, outcomes(Actions)};
told(eol, _) -> deleted;
told({eol, _}, _) -> deleted;
told({eol, _, _}, _) -> deleted;
told({protocol_error, _, Format, Arguments}, _) -> {error, {Format, Arguments}};
told({error, Reason}, _) -> {error, Reason}.

-spec outcomes([tuple()]) -> [outcome()].
%% Rejections have a reason before their numbers from 4.3.
outcomes(Actions) ->
    [{element(1, Action), lists:flatten([element(tuple_size(Action), Action)])}
     || Action <- Actions, is_tuple(Action),
        element(1, Action) =:= settled orelse element(1, Action) =:= rejected].

-spec blocking_alarms() -> [binary()].
%% Why the cluster blocks its publishers now: memory or disk.
blocking_alarms() ->
    lists:usort([atom_to_binary(Resource)
                 || {{resource_limit, Resource, _}, _} <- rabbit_alarm:get_alarms()]).

%% Runs inside a test broker: makes a topology with one of everything, and takes a snapshot as a
%% backup has it together with the broker's own export of the same instant.
-module(definitions_probe).

-export([declare/0, declare_many/2, snapshot/2, export/1]).
-export([open_write/1, write/2, commit_write/1, abort_write/1]).

-define(ACTOR, <<"definitions_probe">>).
-define(VHOST, <<"größe/ 🐇"/utf8>>).

%% ---- A topology with one of everything -----------------------------------------------------

%% But for what RabbitMQ's own importer does not bring back: tags that are not ASCII, nulls, and
%% virtual hosts without a description.
-spec declare() -> ok.
declare() ->
    users_and_vhosts(),
    parameters(),
    exchanges(),
    queues(),
    bindings(),
    ok.

users_and_vhosts() ->
    ok = add_vhost(<<"Beschreibung \"größer\""/utf8>>, [production, eu]),
    ok = rabbit_vhost:add(<<"plain">>, <<"">>, [], ?ACTOR),
    ok = rabbit_vhost_limit:set(?VHOST, [{<<"max-connections">>, 100},
                                         {<<"max-queues">>, 100000}], ?ACTOR),
    ok = rabbit_auth_backend_internal:add_user(<<"jürgen"/utf8>>, <<"pässword"/utf8>>, ?ACTOR),
    ok = rabbit_auth_backend_internal:set_tags(<<"jürgen"/utf8>>,
                                               [management, own_tag, monitoring], ?ACTOR),
    ok = set_user_limits(<<"jürgen"/utf8>>, <<"{\"max-connections\": 7, \"max-channels\": -1}">>),
    ok = rabbit_auth_backend_internal:add_user(<<"no password">>, <<"x">>, ?ACTOR),
    ok = rabbit_auth_backend_internal:clear_password(<<"no password">>, ?ACTOR),
    ok = rabbit_auth_backend_internal:set_permissions(
           <<"jürgen"/utf8>>, ?VHOST, <<"^größe\\."/utf8>>, <<".*">>, <<"">>, ?ACTOR),
    ok = rabbit_auth_backend_internal:set_topic_permissions(
           <<"jürgen"/utf8>>, ?VHOST, <<"amq.topic">>, <<"^{username}.*">>, <<"">>, ?ACTOR).

%% A vhost has no default type of queue in RabbitMQ 3.8, and a user no limits before 3.8.10.
add_vhost(Description, Tags) ->
    case erlang:function_exported(rabbit_vhost, add, 3) of
        true ->
            Metadata = #{description => Description, tags => Tags,
                         default_queue_type => <<"quorum">>},
            rabbit_vhost:add(?VHOST, Metadata, ?ACTOR);
        false ->
            rabbit_vhost:add(?VHOST, Description, Tags, ?ACTOR)
    end.

set_user_limits(User, Limits) ->
    case erlang:function_exported(rabbit_auth_backend_internal, set_user_limits, 3) of
        true -> rabbit_auth_backend_internal:set_user_limits(User, Limits, ?ACTOR);
        false -> ok
    end.

parameters() ->
    ok = rabbit_policy:set(?VHOST, <<"pölicy"/utf8>>, <<"^a\\.">>,
                           [{<<"max-length">>, 1000}, {<<"overflow">>, <<"reject-publish">>}],
                           3, <<"queues">>, ?ACTOR),
    ok = rabbit_policy:set(?VHOST, <<"exchanges">>, <<".*">>,
                           [{<<"alternate-exchange">>, <<"ae">>}], -1, <<"exchanges">>, ?ACTOR),
    ok = rabbit_policy:set(<<"/">>, <<"all">>, <<"">>, [{<<"expires">>, 1 bsl 31}], 0,
                           <<"all">>, ?ACTOR),
    ok = rabbit_policy:set_op(?VHOST, <<"öperator"/utf8>>, <<"^b">>,
                              [{<<"message-ttl">>, 60000}, {<<"max-length-bytes">>, 1 bsl 40}],
                              9, <<"queues">>, ?ACTOR),
    ok = rabbit_runtime_parameters:set_global(nested, [{<<"a">>, [{<<"b">>, [1, <<"zwei">>]}]},
                                                       {<<"float">>, 0.1},
                                                       {<<"big">>, 1 bsl 100}], ?ACTOR),
    ok = rabbit_runtime_parameters:set_global(text, <<"größe"/utf8>>, ?ACTOR),
    ok = rabbit_runtime_parameters:set_global(internal_mark, <<"not exported">>, ?ACTOR).

exchanges() ->
    [ok ||
        {Name, Type, Internal, Durable} <-
            [{<<"tøpic"/utf8>>, topic, false, true}, {<<"headers">>, headers, false, true},
             {<<"ae">>, fanout, false, true}, {<<"internal">>, direct, true, true},
             {<<"brief">>, fanout, false, false}],
        begin
            _ = rabbit_exchange:declare(exchange(Name), Type, Durable, false, Internal,
                                        [{<<"x-note">>, longstr, <<"nöte"/utf8>>}], ?ACTOR),
            true
        end],
    ok.

queues() ->
    Owner = spawn(fun() -> receive stop -> ok end end),
    [declare_queue(Name, Durable, AutoDelete, Arguments, Exclusive) ||
        {Name, Durable, AutoDelete, Arguments, Exclusive} <-
            [{<<"warteschlange größe"/utf8>>, true, false, [classic() | every_type()], none},
             {<<"quorum">>, true, false, [{<<"x-queue-type">>, longstr, <<"quorum">>}], none},
             {<<"stream">>, true, false, [stream()], none},
             {<<"auto">>, true, true, [classic()], none},
             {<<"brief">>, false, false, [classic()], none},
             {<<"exclusive">>, true, false, [classic()], Owner}],
        Name =/= <<"brief">> orelse may_be_transient()],
    ok.

%% Another one takes its place where there are no streams.
stream() ->
    case code:which(rabbit_stream_queue) of
        non_existing -> classic();
        _ -> {<<"x-queue-type">>, longstr, <<"stream">>}
    end.

%% The vhost's default is another type, and from 4.0 on that counts for every declaration.
classic() ->
    {<<"x-queue-type">>, longstr, <<"classic">>}.

%% RabbitMQ 4.3 has no transient queues that are not exclusive, unless it is told to.
may_be_transient() ->
    not erlang:function_exported(rabbit_deprecated_features, is_permitted, 1)
        orelse rabbit_deprecated_features:is_permitted(transient_nonexcl_queues).

declare_queue(Name, Durable, AutoDelete, Arguments, Owner) ->
    {new, _} = rabbit_amqqueue:declare(queue(Name), Durable, AutoDelete, Arguments, Owner, ?ACTOR).

bindings() ->
    [bind(Source, Key, Destination, Arguments) ||
        {Source, Key, Destination, Arguments} <-
            [{<<"tøpic"/utf8>>, <<"schlüssel.#"/utf8>>, queue(<<"quorum">>), []},
             {<<"tøpic"/utf8>>, <<"">>, exchange(<<"ae">>), []},
             {<<"tøpic"/utf8>>, <<"i">>, exchange(<<"internal">>), []},
             {<<"internal">>, <<"i">>, queue(<<"stream">>), []},
             {<<"headers">>, <<"">>, queue(<<"quorum">>),
              [{<<"x-match">>, longstr, <<"all">>} | every_type()]},
             {<<"headers">>, <<"">>, queue(<<"quorum">>), [{<<"x-match">>, longstr, <<"any">>}]},
             {<<"amq.topic">>, <<"a.*">>, queue(<<"auto">>), []},
             {<<"brief">>, <<"">>, queue(<<"quorum">>), []},
             {<<"tøpic"/utf8>>, <<"b">>, queue(<<"brief">>), []},
             {<<"tøpic"/utf8>>, <<"c">>, exchange(<<"brief">>), []},
             {<<"tøpic"/utf8>>, <<"x">>, queue(<<"exclusive">>), []}],
        element(4, Destination) =/= <<"brief">> orelse element(3, Destination) =:= exchange
            orelse may_be_transient()],
    ok.

bind(Source, Key, Destination, Arguments) ->
    ok = rabbit_binding:add({binding, exchange(Source), Key, Destination, Arguments}, ?ACTOR).

%% As rabbit_binary_parser makes them of what a client sends.
every_type() ->
    Simple = [{<<"longstr">>, longstr, <<"größe \"🐇\""/utf8>>},
              {<<"not utf-8">>, longstr, binary:copy(<<255, 0>>, 60)},
              {<<"byte">>, byte, -128}, {<<"unsignedbyte">>, unsignedbyte, 255},
              {<<"short">>, short, -32768}, {<<"unsignedshort">>, unsignedshort, 65535},
              {<<"signedint">>, signedint, -(1 bsl 31)},
              {<<"unsignedint">>, unsignedint, 1 bsl 32 - 1},
              {<<"long">>, long, -(1 bsl 63)}, {<<"timestamp">>, timestamp, 1 bsl 64 - 1},
              {<<"float">>, float, 1.100000023841858}, {<<"double">>, double, 1.0e300},
              {<<"whole">>, double, 3.0},
              {<<"bool">>, bool, true}, {<<"decimal">>, decimal, {3, 14159}},
              {<<"binary">>, binary, <<1, 2, 254>>}, {<<"void">>, void, undefined}],
    Values = [{Type, Value} || {_, Type, Value} <- Simple],
    Simple ++ [{<<"größe"/utf8>>, table, [{<<"nested">>, table, Simple}]},
               {<<"empty table">>, table, []}, {<<"empty array">>, array, []},
               {<<"array">>, array, [{table, Simple}, {array, Values} | Values]}].

%% Queues and bindings: many in little time, in Mnesia without a process behind them.
-spec declare_many(pos_integer(), pos_integer()) -> ok.
declare_many(Queues, Bindings) ->
    declare_many(store(), Queues, Bindings).

declare_many(mnesia, Queues, Bindings) ->
    [Template] = mnesia:dirty_read(rabbit_durable_queue, queue(<<"auto">>)),
    [ok = mnesia:dirty_write(Table, setelement(2, Template, queue(nth_name(N, Queues)))) ||
        Table <- [rabbit_durable_queue, rabbit_queue], N <- lists:seq(1, Queues)],
    [ok = mnesia:dirty_write(Table, {route, nth_binding(N, Queues), const}) ||
        Table <- [rabbit_durable_route, rabbit_route], N <- lists:seq(1, Bindings)],
    ok;
declare_many(khepri, Queues, Bindings) ->
    [declare_queue(nth_name(N, Queues), true, false, [classic()], none) ||
        N <- lists:seq(1, Queues)],
    [ok = rabbit_binding:add(nth_binding(N, Queues), ?ACTOR) || N <- lists:seq(1, Bindings)],
    ok.

nth_name(N, Queues) ->
    <<"queue number ", (integer_to_binary(N rem Queues))/binary>>.

nth_binding(N, Queues) ->
    {binding, exchange(<<"tøpic"/utf8>>), <<"routing.key.", (integer_to_binary(N))/binary>>,
     queue(nth_name(N, Queues)), []}.

%% The plugin is not in this node. rabbit_khepri is there from 3.13.
store() ->
    try rabbit_khepri:is_enabled() of
        true -> khepri;
        false -> mnesia
    catch
        error:undef -> mnesia
    end.

queue(Name) -> rabbit_misc:r(?VHOST, queue, Name).
exchange(Name) -> rabbit_misc:r(?VHOST, exchange, Name).

%% ---- The export -----------------------------------------------------------------------------

%% The broker's own export, without what definitions of a backup leave out.
-spec export(file:filename()) -> ok.
export(File) ->
    Definitions = rabbit_definitions:all_definitions(),
    Exchanges = rabbit_exchange:list(),
    Queues = rabbit_amqqueue:list(),
    Kept = sets:from_list([element(2, X) || X <- Exchanges, element(4, X)] ++
                          [amqqueue:get_name(Q) || Q <- Queues, amqqueue:is_durable(Q),
                                                   amqqueue:get_exclusive_owner(Q) =:= none]),
    Stays = fun(Kind, Name, #{<<"vhost">> := V} = D) ->
                    sets:is_element(rabbit_misc:r(V, Kind, maps:get(Name, D)), Kept)
            end,
    Filtered = Definitions#{
        queues := lists:filter(fun(D) -> Stays(queue, <<"name">>, D) end,
                               maps:get(queues, Definitions)),
        vhosts := lists:map(fun without_default_of_node/1, maps:get(vhosts, Definitions)),
        exchanges := lists:filter(fun(D) -> Stays(exchange, <<"name">>, D) end,
                                  maps:get(exchanges, Definitions)),
        bindings := lists:filter(
                      fun(#{<<"destination_type">> := Type} = D) ->
                              Stays(exchange, <<"source">>, D)
                                  andalso Stays(Type, <<"destination">>, D)
                      end, maps:get(bindings, Definitions))},
    ok = file:write_file(File, rabbit_json:encode(Filtered)).

%% RabbitMQ 4.0 and 4.1.0 say for each vhost which type a queue has there that is declared without
%% one, though it be the node's. What is the vhost's is in its metadata, too.
without_default_of_node(#{<<"metadata">> := _} = Vhost) ->
    {ok, Version} = application:get_key(rabbit, vsn),
    case Version of
        "4.0." ++ _ -> maps:remove(<<"default_queue_type">>, Vhost);
        "4.1.0" -> maps:remove(<<"default_queue_type">>, Vhost);
        _ -> Vhost
    end;
without_default_of_node(Vhost) ->
    Vhost.

%% ---- The snapshot ---------------------------------------------------------------------------

%% Writes Directory/snapshot and Directory/export.json, both of one instant; then Change(), which
%% runs between the instant and the reading of the tables, has changed them.
-spec snapshot(file:filename(), none | changes) -> ok.
snapshot(Directory, Change) ->
    export(filename:join(Directory, "export.json")),
    snapshot(store(), filename:join(Directory, "snapshot"), Change).

snapshot(mnesia, File, Change) ->
    Tables = [rabbit_vhost, rabbit_user, rabbit_user_permission, rabbit_topic_permission,
              rabbit_runtime_parameters, rabbit_durable_exchange, rabbit_durable_queue,
              rabbit_durable_route, schema],
    {ok, Name, _} = mnesia:activate_checkpoint([{name, {?MODULE, make_ref()}}, {max, Tables}]),
    try
        change(Change),
        ok = mnesia:backup_checkpoint(Name, File, [{module, ?MODULE}])
    after
        mnesia:deactivate_checkpoint(Name)
    end;
%% Khepri's own export, which is of one instant: nothing can change meanwhile. It gives what ours
%% has and more.
snapshot(khepri, File, _) ->
    {ok, _} = khepri:export(rabbit_khepri:get_store_id(), ?MODULE, File),
    ok.

change(none) ->
    ok;
change(changes) ->
    [declare_queue(<<"later ", (integer_to_binary(N))/binary>>, true, false, [], none) ||
        N <- lists:seq(1, 20)],
    {ok, Q} = rabbit_amqqueue:lookup(queue(<<"auto">>)),
    {ok, _} = rabbit_amqqueue:delete(Q, false, false, ?ACTOR),
    {new, _} = rabbit_amqqueue:declare(queue(<<"auto">>), true, false,
                                       [classic(), {<<"x-max-length">>, long, 1}], none, ?ACTOR),
    {ok, S} = rabbit_amqqueue:lookup(queue(<<"stream">>)),
    {ok, _} = rabbit_amqqueue:delete(S, false, false, ?ACTOR),
    ok = rabbit_binding:remove({binding, exchange(<<"headers">>), <<"">>, queue(<<"quorum">>),
                                [{<<"x-match">>, longstr, <<"any">>}]}, ?ACTOR),
    bind(<<"headers">>, <<"later">>, queue(<<"later 1">>), []),
    ok = rabbit_exchange:delete(exchange(<<"ae">>), false, ?ACTOR),
    ok = rabbit_auth_backend_internal:change_password(<<"jürgen"/utf8>>, <<"other">>, ?ACTOR),
    ok = rabbit_auth_backend_internal:set_tags(<<"jürgen"/utf8>>, [], ?ACTOR),
    ok = rabbit_auth_backend_internal:delete_user(<<"no password">>, ?ACTOR),
    ok = rabbit_policy:delete(?VHOST, <<"exchanges">>, ?ACTOR),
    ok = rabbit_policy:set(?VHOST, <<"later">>, <<".*">>, [{<<"max-length">>, 1}], 0,
                           <<"queues">>, ?ACTOR),
    ok = rabbit_vhost:delete(<<"plain">>, ?ACTOR),
    ok = rabbit_vhost:add(<<"later">>, ?ACTOR),
    ok.

%% Mnesia's backup callbacks: each batch is a chunk, docs/format.md.
open_write(File) -> file:open(File, [write, raw, binary, delayed_write]).

write(File, Items) ->
    Chunk = term_to_binary(Items, [{minor_version, 2}]),
    ok = file:write(File, [<<(byte_size(Chunk)):32>>, Chunk]),
    {ok, File}.

commit_write(File) ->
    ok = file:close(File),
    {ok, File}.

abort_write(File) ->
    _ = file:close(File),
    {ok, File}.

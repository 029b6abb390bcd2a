%% What queues are asked and what is told of those that do not answer.
-module(rabbit_hot_backup_inventory_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/3, attach/0, stand_in/1, unload/1]).

inventory_test_() ->
    {foreach,
     fun() -> {hot_backup_harness:start_plugin(#{}), stand_in(rabbitmq())} end,
     fun({Plugin, Modules}) ->
             unload(Modules),
             hot_backup_harness:stop_plugin(Plugin)
     end,
     [{timeout, 60, Test} ||
         Test <- [{"numbers", fun queues_say_what_they_hold/0},
                  {"down", fun queues_that_do_not_serve_say_why/0},
                  {"silent", fun a_silent_queue_costs_its_time_once/0},
                  {"many", fun many_queues_are_asked/0},
                  {"arguments", fun arguments_are_checked/0}]]}.

%% Queues are `{q, Name, Type, State, What}`: what RabbitMQ's modules say of them.
rabbitmq() ->
    [{rabbit_amqqueue,
      ["list_durable() -> persistent_term:get(test_queues).",
       "lookup({resource, <<\"/\">>, queue, <<\"lost\">>}) -> {error, not_found};"
       "lookup({resource, <<\"/\">>, queue, Name}) ->"
       "    {ok, lists:keyfind(Name, 2, persistent_term:get(test_queues))}.",
       "info({q, _, _, _, silent}, _) -> timer:sleep(infinity);"
       "info({q, _, _, _, dead}, _) -> exit(noproc);"
       "info({q, _, _, _, {Ready, Out}}, [messages_ready, messages_unacknowledged]) ->"
       "    [{messages_ready, Ready}, {messages_unacknowledged, Out}]."]},
     {amqqueue,
      ["get_name({q, Name, _, _, _}) -> {resource, <<\"/\">>, queue, Name}.",
       "get_type({q, _, Type, _, _}) -> Type.",
       "get_state({q, _, _, State, _}) -> State.",
       "get_pid({q, _, _, _, What}) -> What.",
       "get_type_state({q, Name, rabbit_stream_queue, _, _}) ->"
      "    #{name => binary_to_list(Name), nodes => [a@host, b@host]};"
      "get_type_state({q, _, rabbit_quorum_queue, _, _}) -> #{nodes => #{b@host => <<\"ID\">>}};"
      "get_type_state(_) -> #{}."]},
     {ra,
      ["consistent_query(no_leader = Server, _, _) -> {timeout, Server};"
       "consistent_query(dead, _, _) -> {error, noproc};"
       "consistent_query(Server, {Module, Function, []}, _) ->"
       "    {ok, Module:Function(Server), leader}."]},
     {rabbit_fifo,
      ["query_messages_ready({Ready, _}) -> Ready.",
       "query_messages_checked_out({_, Out}) -> Out."]},
     {osiris_counters,
      ["overview() -> #{{osiris_writer, {resource, <<\"/\">>, queue, <<\"stream\">>}} =>"
       "                    #{first_offset => 5, offset => 14},"
       "                {osiris_writer, {resource, <<\"/\">>, queue, <<\"empty stream\">>}} =>"
       "                    #{first_offset => 0, offset => -1}}."]}].

queues_say_what_they_hold() ->
    ?assertEqual(
       [#{name => <<"classic">>, type => <<"classic">>, state => <<"running">>, ready => 3,
          unacknowledged => 4, nodes => []},
        #{name => <<"empty stream">>, type => <<"stream">>, state => <<"running">>,
          directory => <<"empty stream">>, nodes => [<<"a@host">>, <<"b@host">>]},
        #{name => <<"other">>, type => <<"rabbit_other_queue">>, state => <<"running">>,
          ready => 0, unacknowledged => 0, nodes => []},
        #{name => <<"quorum">>, type => <<"quorum">>, state => <<"running">>, ready => 5,
          unacknowledged => 6, nodes => [<<"b@host">>]},
        #{name => <<"stream">>, type => <<"stream">>, state => <<"running">>,
          directory => <<"stream">>, first_offset => 5, last_offset => 14,
          nodes => [<<"a@host">>, <<"b@host">>]}],
       inventory([{q, <<"classic">>, rabbit_classic_queue, live, {3, 4}},
                  {q, <<"quorum">>, rabbit_quorum_queue, live, {5, 6}},
                  {q, <<"stream">>, rabbit_stream_queue, live, none},
                  {q, <<"empty stream">>, rabbit_stream_queue, live, none},
                  {q, <<"other">>, rabbit_other_queue, live, {0, 0}}], 5000)).

queues_that_do_not_serve_say_why() ->
    States = [{Name, State} || #{name := Name, state := State}
                                   <- inventory(
                                        [{q, <<"lost">>, rabbit_classic_queue, live, {1, 1}},
                                         {q, <<"crashed">>, rabbit_classic_queue, crashed, {1, 1}},
                                         {q, <<"dead">>, rabbit_classic_queue, live, dead},
                                         {q, <<"dead quorum">>, rabbit_quorum_queue, live, dead},
                                         {q, <<"minority">>, rabbit_quorum_queue, live, no_leader},
                                         {q, <<"no writer">>, rabbit_stream_queue, live, none}],
                                        5000)],
    ?assertEqual([{<<"crashed">>, <<"crashed">>}, {<<"dead">>, <<"down">>},
                  {<<"dead quorum">>, <<"down">>}, {<<"lost">>, <<"down">>},
                  {<<"minority">>, <<"no_leader">>}, {<<"no writer">>, <<"down">>}],
                 States).

a_silent_queue_costs_its_time_once() ->
    Before = erlang:monotonic_time(millisecond),
    Silent = [{q, integer_to_binary(N), rabbit_classic_queue, live, silent}
              || N <- lists:seq(1, 90)],
    Items = inventory([{q, <<"classic">>, rabbit_classic_queue, live, {3, 4}} | Silent], 300),
    ?assert(erlang:monotonic_time(millisecond) - Before < 5000),
    ?assertEqual(90, length([State || #{state := <<"no_answer">> = State} <- Items])),
    ?assertMatch([#{ready := 3}], [Item || #{name := <<"classic">>} = Item <- Items]),
    %% Nobody asks any more.
    hot_backup_harness:eventually(
      fun() -> [] =:= [Pid || Pid <- processes(),
                              {current_function, {timer, sleep, 1}}
                                  <- [process_info(Pid, current_function)]] end).

many_queues_are_asked() ->
    Names = [integer_to_binary(N) || N <- lists:seq(1, 5000)],
    Items = inventory([{q, Name, rabbit_classic_queue, live, {1, 0}} || Name <- Names], 5000),
    ?assertEqual(lists:sort(Names), [Name || #{name := Name, ready := 1} <- Items]).

arguments_are_checked() ->
    Holder = attach(),
    [?assertMatch({error, #{code := failed}}, ask(Holder, inventory_stream, Arguments))
     || Arguments <- [#{}, #{stream => 1}, #{stream => 1, timeout => 0},
                      #{stream => -1, timeout => 10}, #{stream => 1, timeout => soon}]].

%% ------------------------------------------------------------------

inventory(Queues, Timeout) ->
    persistent_term:put(test_queues, Queues),
    Holder = attach(),
    {ok, #{}} = ask(Holder, inventory_stream, #{stream => 9, timeout => Timeout}),
    Items = collect(Holder, 0, []),
    [maps:remove(vhost, Item)
     || #{vhost := <<"/">>} = Item
            <- lists:sort(fun(#{name := A}, #{name := B}) -> A =< B end, Items)].

collect(Holder, Next, Lists) ->
    receive
        {data, 9, Next, Payload} ->
            Holder ! {ack, 9, Next},
            collect(Holder, Next + 1, [binary_to_term(Payload) | Lists]);
        {stream_end, 9, #{messages := Next, items := Count}} ->
            Items = lists:append(lists:reverse(Lists)),
            ?assertEqual(Count, length(Items)),
            Items
    after 20000 ->
            error({nothing_after, Next})
    end.

%% What is streamed of the queues' numbers, and what a node says of its places and settings.
-module(rabbit_hot_backup_statistics_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [ask/2, ask/3, attach/0, expect/1, stand_in/1, unload/1]).

statistics_test_() ->
    {foreach,
     fun() -> hot_backup_harness:start_plugin(#{}) end,
     fun hot_backup_harness:stop_plugin/1,
     [{timeout, 60, Test} ||
         Test <- [{"no tables", fun a_node_without_numbers_has_no_items/0},
                  {"queues", fun what_is_known_of_a_queue_is_told/0},
                  {"streams", fun streams_have_offsets/0},
                  {"many", fun many_queues_are_streamed/0},
                  {"one at a time", fun a_session_has_one_stream/0},
                  {"ended early", fun an_engine_that_goes_leaves_nothing/0},
                  {"places", fun places_are_described/0},
                  {"settings", fun settings_come_with_the_job/0}]]}.

a_node_without_numbers_has_no_items() ->
    ?assertEqual([], stream(attach())).

what_is_known_of_a_queue_is_told() ->
    with_tables(fun() ->
        counted(<<"/">>, <<"both">>, 3, 4),
        true = ets:insert(queue_metrics, {queue(<<"/">>, <<"both">>),
                                          [{consumers, 1}, {message_bytes, 700},
                                           {messages_persistent, 5},
                                           {idle_since, 1700000000000}], 0}),
        counted(<<"v">>, <<"counts">>, 0, 0),
        true = ets:insert(queue_metrics, {queue(<<"v">>, <<"counts">>), [{consumers, 1}], 0}),
        counted(<<"v">>, <<"blank">>, '', 1),
        ?assertEqual([#{vhost => <<"/">>, name => <<"both">>, ready => 3, unacknowledged => 4,
                        bytes => 700, persistent => 5, idle_since => 1700000000000},
                      #{vhost => <<"v">>, name => <<"blank">>, unacknowledged => 1},
                      #{vhost => <<"v">>, name => <<"counts">>, ready => 0, unacknowledged => 0}],
                     sorted(stream(attach())))
    end).

streams_have_offsets() ->
    with_tables(fun() ->
        counted(<<"/">>, <<"counted">>, 10, 0),
        Standing = stand_in([{osiris_counters,
                              ["overview() ->"
                               "    #{{osiris_writer, {resource, <<\"/\">>, queue,"
                               "                       <<\"counted\">>}} =>"
                               "          #{first_offset => 5, offset => 14, segments => 1},"
                               "      {osiris_replica, {resource, <<\"/\">>, queue,"
                               "                        <<\"replica\">>}} =>"
                               "          #{first_offset => 0, offset => 0},"
                               "      {osiris_writer, {resource, <<\"/\">>, queue,"
                               "                       <<\"empty\">>}} =>"
                               "          #{first_offset => 0, offset => -1},"
                               "      {rabbit_stream_reader, {resource, <<\"/\">>, queue,"
                               "                              <<\"read\">>}, self()} =>"
                               "          #{first_offset => 0, offset => 3}}."]}]),
        ?assertEqual([#{vhost => <<"/">>, name => <<"counted">>, ready => 10, unacknowledged => 0,
                        first_offset => 5, last_offset => 14},
                      #{vhost => <<"/">>, name => <<"replica">>, first_offset => 0,
                        last_offset => 0}],
                     sorted(stream(attach()))),
        unload(Standing)
    end).

%% Rows that come and go meanwhile do not disturb.
many_queues_are_streamed() ->
    with_tables(fun() ->
        Names = [integer_to_binary(N) || N <- lists:seq(1, 20000)],
        [counted(<<"/">>, Name, 1, 0) || Name <- Names],
        Churn = spawn_link(fun() -> churn(1) end),
        Items = stream(attach()),
        unlink(Churn),
        exit(Churn, kill),
        Streamed = [Name || #{name := <<First, _/binary>> = Name} <- Items, First =/= $c],
        ?assertEqual(lists:sort(Names), lists:sort(Streamed))
    end).

churn(N) ->
    Name = <<"c", (integer_to_binary(N))/binary>>,
    counted(<<"/">>, Name, 1, 0),
    true = ets:delete(queue_coarse_metrics, queue(<<"/">>, Name)),
    churn(N + 1).

a_session_has_one_stream() ->
    with_tables(fun() ->
        %% More than the window.
        [counted(<<"/">>, <<N:2000/unit:8>>, 1, 0) || N <- lists:seq(1, 2000)],
        Holder = attach(),
        {ok, #{}} = ask(Holder, statistics_stream, #{stream => 1}),
        {data, 1, 0, _} = expect(data),
        ?assertMatch({error, #{code := busy}}, ask(Holder, statistics_stream, #{stream => 2}))
    end).

an_engine_that_goes_leaves_nothing() ->
    with_tables(fun() ->
        [counted(<<"/">>, <<N:2000/unit:8>>, 1, 0) || N <- lists:seq(1, 2000)],
        Holder = attach(),
        {ok, #{}} = ask(Holder, statistics_stream, #{stream => 1}),
        {data, 1, 0, _} = expect(data),
        exit(Holder, kill),
        hot_backup_harness:eventually(
          fun() -> ets:info(queue_coarse_metrics, safe_fixed) =:= false end)
    end).

places_are_described() ->
    Directory = hot_backup_harness:temp_dir(),
    Flags = filename:join(Directory, "node-feature_flags"),
    Places = [{ra, data_dir, "/data/quorum"}, {osiris, data_dir, "/srv/streams"},
              {rabbit, feature_flags_file, Flags}],
    [application:set_env(Application, Name, Path) || {Application, Name, Path} <- Places],
    ?assertEqual([#{role => <<"quorum">>, path => <<"/data/quorum">>},
                  #{role => <<"stream">>, path => <<"/srv/streams">>}],
                 rabbit_hot_backup_compat:directories()),
    application:set_env(ra, wal_data_dir, "/fast/wal"),
    ?assertEqual([#{role => <<"quorum">>, path => <<"/data/quorum">>},
                  #{role => <<"quorum_wal">>, path => <<"/fast/wal">>},
                  #{role => <<"stream">>, path => <<"/srv/streams">>}],
                 rabbit_hot_backup_compat:directories()),
    application:set_env(ra, wal_data_dir, "/data/quorum"),
    ?assertMatch([#{role := <<"quorum">>}, #{role := <<"stream">>}],
                 rabbit_hot_backup_compat:directories()),
    ?assertEqual([], rabbit_hot_backup_compat:node_files()),
    ok = file:write_file(Flags, <<"[].\n">>),
    ?assertEqual([#{role => <<"feature_flags">>, path => unicode:characters_to_binary(Flags)}],
                 rabbit_hot_backup_compat:node_files()),
    [application:unset_env(Application, Name)
     || {Application, Name, _} <- [{ra, wal_data_dir, none} | Places]],
    ?assertEqual([], rabbit_hot_backup_compat:directories()),
    hot_backup_harness:remove(Directory).

settings_come_with_the_job() ->
    Holder = attach(),
    Begin = fun() ->
                    {ok, #{job := Job} = Result} =
                        ask(Holder, job_begin, #{kind => backup, repository => <<"/r">>}),
                    {ok, _} = ask(Holder, job_end, #{job => Job, outcome => done,
                                                     backup => <<"B">>, bytes => 1}),
                    maps:remove(job, Result)
            end,
    Default = #{max_pause => 250, rate_limit => 0},
    ?assertEqual(Default, Begin()),
    hot_backup_harness:set(#{max_pause => 40, rate_limit => 1000000}),
    ?assertEqual(#{max_pause => 40, rate_limit => 1000000}, Begin()),
    hot_backup_harness:set(#{max_pause => 0, rate_limit => "fast"}),
    ?assertEqual(Default, Begin()),
    hot_backup_harness:set(Default).

%% ------------------------------------------------------------------

%% The tables in which a node keeps what its queues report.
with_tables(Test) ->
    Tables = [queue_coarse_metrics, queue_metrics],
    [Table = ets:new(Table, [named_table, public]) || Table <- Tables],
    try
        Test()
    after
        [true = ets:delete(Table) || Table <- Tables]
    end.

queue(VHost, Name) ->
    {resource, VHost, queue, Name}.

counted(VHost, Name, Ready, Unacknowledged) ->
    true = ets:insert(queue_coarse_metrics,
                      {queue(VHost, Name), Ready, Unacknowledged, 0, 1000}).

sorted(Items) ->
    lists:sort(fun(#{vhost := V1, name := N1}, #{vhost := V2, name := N2}) ->
                       {V1, N1} =< {V2, N2}
               end, Items).

stream(Holder) ->
    {ok, #{}} = ask(Holder, statistics_stream, #{stream => 9}),
    stream(Holder, 0, []).

stream(Holder, Next, Lists) ->
    receive
        {data, 9, Next, Payload} ->
            Holder ! {ack, 9, Next},
            stream(Holder, Next + 1, [binary_to_term(Payload) | Lists]);
        {stream_end, 9, #{messages := Next, items := Count}} ->
            Items = lists:append(lists:reverse(Lists)),
            ?assertEqual(Count, length(Items)),
            %% The session goes on.
            {error, #{code := unsupported}} = ask(Holder, defragment),
            Items
    after 10000 ->
            error({nothing_after, Next})
    end.

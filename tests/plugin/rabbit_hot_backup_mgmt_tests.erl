%% What the HTTP API does with lists and bodies before anybody is asked.
-module(rabbit_hot_backup_mgmt_tests).

-include_lib("eunit/include/eunit.hrl").

items() ->
    [#{<<"name">> => <<"orders">>, <<"cut">> => #{<<"pause_us">> => 9}, <<"n">> => 1},
     #{<<"name">> => <<"Größe"/utf8>>, <<"cut">> => #{<<"pause_us">> => 10}, <<"n">> => null},
     #{<<"name">> => <<"a.b">>, <<"n">> => 2}].

names(Query) ->
    {ok, Items} = rabbit_hot_backup_mgmt_page:select(items(), <<"name">>, Query),
    [Name || #{<<"name">> := Name} <- Items].

refused(Query) ->
    {error, #{code := usage}} = rabbit_hot_backup_mgmt_page:select(items(), <<"name">>, Query),
    ok.

lists_test_() ->
    G = <<"Größe"/utf8>>,
    [?_assertEqual([<<"orders">>, G, <<"a.b">>], names([])),
     ?_assertEqual([<<"a.b">>, <<"orders">>, G], names([{<<"sort">>, <<"cut.pause_us">>}])),
     ?_assertEqual([G, <<"orders">>, <<"a.b">>],
                   names([{<<"sort">>, <<"cut.pause_us">>}, {<<"sort_reverse">>, <<"true">>}])),
     ?_assertEqual([G, <<"orders">>, <<"a.b">>], names([{<<"sort">>, <<"n">>}])),
     ?_assertEqual([<<"orders">>, G, <<"a.b">>], names([{<<"sort">>, <<"name.nothing">>}])),
     ?_assertEqual([G], names([{<<"name">>, <<"GRÖ"/utf8>>}, {<<"use_regex">>, <<"false">>}])),
     ?_assertEqual([<<"a.b">>], names([{<<"name">>, <<".">>}])),
     ?_assertEqual([<<"orders">>, G, <<"a.b">>],
                   names([{<<"name">>, <<".">>}, {<<"use_regex">>, <<"true">>}])),
     ?_assertEqual(ok, refused([{<<"name">>, <<255>>}])),
     ?_assertEqual(ok, refused([{<<"name">>, <<255>>}, {<<"use_regex">>, <<"true">>}])),
     ?_assertEqual(ok, refused([{<<"name">>, <<"(">>}, {<<"use_regex">>, <<"true">>}]))].

pages_test_() ->
    Page = fun(Query) ->
                   {ok, #{items := Items} = Page} =
                       rabbit_hot_backup_mgmt_page:select(items(), <<"name">>, Query),
                   {length(Items), maps:without([items], Page)}
           end,
    [?_assertEqual({1, #{total_count => 3, filtered_count => 3, item_count => 1, page => 2,
                         page_size => 2, page_count => 2}},
                   Page([{<<"page">>, <<"2">>}, {<<"page_size">>, <<"2">>}])),
     ?_assertEqual({0, #{total_count => 3, filtered_count => 0, item_count => 0, page => 1,
                         page_size => 100, page_count => 0}},
                   Page([{<<"page">>, <<"1">>}, {<<"name">>, <<"nothing">>}]))]
        ++ [?_assertEqual(ok, refused([{<<"page">>, Number}, {<<"page_size">>, Size}]))
            || {Number, Size} <- [{<<"0">>, <<"1">>}, {<<"3">>, <<"2">>}, {<<"x">>, <<"1">>},
                                  {<<"1">>, <<"501">>}, {<<"1">>, <<"-1">>}]].

bodies_test_() ->
    Fields = fun(Body) ->
                     rabbit_hot_backup_mgmt_body:fields(
                       Body, #{queues => texts, all => boolean, as => text, rate_limit => positive})
             end,
    [?_assertEqual({ok, #{}}, Fields(#{})),
     ?_assertEqual({ok, #{queues => [<<"//a">>], all => false, as => <<>>, rate_limit => 1}},
                   Fields(#{<<"queues">> => [<<"//a">>], <<"all">> => false, <<"as">> => <<>>,
                            <<"rate_limit">> => 1}))]
        ++ [?_assertMatch({error, #{code := usage}}, Fields(Body))
            || Body <- [#{<<"Queues">> => []}, #{<<"queues">> => <<"a">>}, #{<<"queues">> => [1]},
                        #{<<"queues">> => [<<"a", 0>>]}, #{<<"all">> => 1}, #{<<"as">> => null},
                        #{<<"rate_limit">> => 0}, #{<<"rate_limit">> => 1.5}]].

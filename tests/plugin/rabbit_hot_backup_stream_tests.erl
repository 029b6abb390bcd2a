-module(rabbit_hot_backup_stream_tests).

-include_lib("eunit/include/eunit.hrl").

-define(WINDOW, 1024 * 1024).

numbers_payloads_and_counts_them_test() ->
    Stream = add(<<"cd">>, 1, b, add(<<"ab">>, 2, a, rabbit_hot_backup_stream:new(7))),
    {Messages, Handles, Flushed} = rabbit_hot_backup_stream:flush(Stream),
    ?assertEqual([{data, 7, 0, <<"ab">>}, {data, 7, 1, <<"cd">>}], Messages),
    ?assertEqual([a, b], Handles),
    {End, [], Ended} = rabbit_hot_backup_stream:flush(rabbit_hot_backup_stream:finish(Flushed)),
    ?assertEqual([{stream_end, 7, #{messages => 2, bytes => 4, items => 3}}], End),
    ?assert(rabbit_hot_backup_stream:is_ended(Ended)),
    ?assertNot(rabbit_hot_backup_stream:is_complete(Ended)),
    {ok, Complete} = rabbit_hot_backup_stream:acknowledge(1, Ended),
    ?assert(rabbit_hot_backup_stream:is_complete(Complete)).

the_end_waits_for_the_window_test() ->
    Big = binary:copy(<<0>>, ?WINDOW),
    Stream = rabbit_hot_backup_stream:finish(
               add(Big, 1, b, add(Big, 1, a, rabbit_hot_backup_stream:new(1)))),
    {[{data, 1, 0, _}], [a], First} = rabbit_hot_backup_stream:flush(Stream),
    ?assertEqual([b], rabbit_hot_backup_stream:waiting(First)),
    {ok, Acknowledged} = rabbit_hot_backup_stream:acknowledge(0, First),
    {[{data, 1, 1, _}, {stream_end, 1, _}], [b], _} = rabbit_hot_backup_stream:flush(Acknowledged).

a_payload_longer_than_the_window_goes_alone_test() ->
    Huge = binary:copy(<<0>>, 3 * ?WINDOW),
    Stream = add(<<"x">>, 1, b, add(Huge, 1, a, rabbit_hot_backup_stream:new(1))),
    {[_], [a], First} = rabbit_hot_backup_stream:flush(Stream),
    ?assertEqual(3 * ?WINDOW, rabbit_hot_backup_stream:outstanding(First)),
    {ok, Acknowledged} = rabbit_hot_backup_stream:acknowledge(0, First),
    {[_], [b], _} = rabbit_hot_backup_stream:flush(Acknowledged).

an_acknowledgement_covers_all_before_it_test() ->
    Stream = lists:foldl(fun(N, S) -> add(<<N>>, 1, N, S) end, rabbit_hot_backup_stream:new(1),
                         lists:seq(1, 5)),
    {_, _, Sent} = rabbit_hot_backup_stream:flush(Stream),
    {ok, Three} = rabbit_hot_backup_stream:acknowledge(2, Sent),
    ?assertEqual(2, rabbit_hot_backup_stream:outstanding(Three)),
    {ok, Again} = rabbit_hot_backup_stream:acknowledge(1, Three),
    ?assertEqual(2, rabbit_hot_backup_stream:outstanding(Again)).

what_was_not_sent_cannot_be_acknowledged_test() ->
    ?assertMatch({error, #{code := failed}},
                 rabbit_hot_backup_stream:acknowledge(0, rabbit_hot_backup_stream:new(1))).

%% Any mix of sizes and acknowledgements: within the window, nothing lost, in order.
the_window_holds_for_any_run_test_() ->
    {timeout, 60,
     fun() ->
             rand:seed(exsss, {1, 2, 3}),
             Longest = binary:copy(<<0>>, 400000),
             lists:foreach(fun(_) -> random_run(Longest) end, lists:seq(1, 50))
     end}.

random_run(Longest) ->
    Payloads = [binary:part(Longest, 0, rand:uniform(400000)) || _ <- lists:seq(1, 60)],
    random_run(Payloads, rabbit_hot_backup_stream:new(1), 0, 0, length(Payloads)).

random_run(Payloads, Stream, Sent, Acknowledged, Total) ->
    {Messages, _, Flushed} = rabbit_hot_backup_stream:flush(Stream),
    ?assertEqual(lists:seq(Sent, Sent + length(Messages) - 1),
                 [Sequence || {data, _, Sequence, _} <- Messages]),
    ?assert(rabbit_hot_backup_stream:outstanding(Flushed) =< ?WINDOW),
    NowSent = Sent + length(Messages),
    case {Payloads, rand:uniform(2)} of
        {[], _} when NowSent =:= Total ->
            ok;
        {[Payload | Others], 1} ->
            random_run(Others, add(Payload, 1, nobody, Flushed), NowSent, Acknowledged, Total);
        _ when NowSent > Acknowledged ->
            Upto = Acknowledged + rand:uniform(NowSent - Acknowledged) - 1,
            {ok, Less} = rabbit_hot_backup_stream:acknowledge(Upto, Flushed),
            random_run(Payloads, Less, NowSent, Upto + 1, Total);
        _ ->
            random_run(Payloads, Flushed, NowSent, Acknowledged, Total)
    end.

add(Payload, Items, Handle, Stream) ->
    rabbit_hot_backup_stream:add(Payload, Items, Handle, Stream).

%% Whether nodes stood still together: what is claimed is compared with the truth, which only the
%% simulation knows.
%%
%% Each simulated node has a clock of its own, ahead of the others' and faster or slower; messages
%% take however long they take. Whatever happens, `proven` must not be said of holds that had no
%% moment in common.
-module(rabbit_hot_backup_overlap_tests).

-include_lib("eunit/include/eunit.hrl").

-import(rabbit_hot_backup_overlap, [bounds/1, there/2, width/1, prove/2]).

%% Times of the simulation are in nanoseconds, so that nothing depends on what a clock rounds off.
-define(US, 1000).
-define(MS, 1000000).

-define(CASES, 100000).

bounds_test_() ->
    [{"none", ?_assertEqual(none, bounds([]))},
     {"one", ?_test(begin
                        {Least, Most, 1100} = bounds([{1000, 5050, 1100}]),
                        ?assert(Least =< 3950 andalso Least >= 3945),
                        ?assert(Most >= 4050 andalso Most =< 4055)
                    end)},
     {"the closest counts", ?_assertMatch({_, _, 1300},
                                          bounds([{1000, 5050, 1100}, {1200, 5210, 1300}]))},
     {"closer", ?_assert(width(bounds([{1000, 5010, 1100}, {1200, 5290, 1300}]))
                         < width(bounds([{1000, 5010, 1100}])))},
     {"contradicting", ?_assertEqual(none, bounds([{1000, 5050, 1100}, {1200, 6250, 1300}]))},
     {"there", ?_assertEqual(7000, there(3000, {3990, 4010, 1}))}].

pairs_test_() ->
    Alone = [stood(a, 10, 20, [])],
    Apart = [stood(a, 0, 1000, []), stood(b, 2000, 3000, [])],
    Together = [stood(a, 0, 1000, []), stood(b, 500, 1500, [])],
    Heard = [stood(a, 0, 1000, [b]), stood(b, 500, 1500, [a])],
    Same = known(a, b, {-10, 10}, {-10, 10}),
    [{"one alone", ?_assertEqual({proven, #{overlap_us => 10, proof => both}}, prove(Alone, #{}))},
     {"nothing is known", ?_assertEqual({apart, [{a, b}, {b, a}]}, sorted(prove(Together, #{})))},
     {"by messages",
      ?_assertEqual({proven, #{overlap_us => 0, proof => messages}}, prove(Heard, #{}))},
     {"by messages of the past a clock is not asked",
      ?_assertEqual({proven, #{overlap_us => 0, proof => messages}},
                    prove(Heard, known(a, b, none, none)))},
     {"by clocks", ?_test(begin
                              {proven, #{overlap_us := Overlap, proof := clocks}} =
                                  prove(Together, Same),
                              ?assert(Overlap > 480 andalso Overlap =< 500)
                          end)},
     {"by both", ?_assertMatch({proven, #{overlap_us := O, proof := both}} when O > 480,
                               prove(Heard, Same))},
     {"one pair by each",
      ?_assertEqual({proven, #{overlap_us => 0, proof => both}},
                    prove([stood(a, 0, 1000, [b]), stood(b, 500, 1500, [])],
                          maps:with([{b, a}], Same)))},
     {"one after the other", ?_assertEqual({apart, [{a, b}]}, prove(Apart, Same))},
     {"only before", ?_assertEqual({apart, [{a, b}, {b, a}]},
                                   sorted(prove(Together, known(a, b, {-10, 10}, none))))},
     {"only afterwards", ?_assertEqual({apart, [{a, b}, {b, a}]},
                                       sorted(prove(Together, known(a, b, none, {-10, 10}))))},
     {"a clock that was set", ?_assertEqual({apart, [{a, b}, {b, a}]},
                                            sorted(prove(Together, known(a, b, {-10, 10},
                                                                         {90, 110}))))},
     {"touching is not enough",
      ?_assertMatch({apart, [{a, b}]},
                    prove([stood(a, 0, 1000, []), stood(b, 995, 2000, [])], Same))},
     {"three, and one apart",
      ?_assertEqual({apart, [{a, c}]},
                    prove([stood(a, 0, 1000, [b]), stood(b, 0, 3000, [a, c]),
                           stood(c, 2000, 3000, [a, b])], #{}))}].

sorted({apart, Pairs}) -> {apart, lists:sort(Pairs)};
sorted(Other) -> Other.

stood(Node, Began, Ended, Heard) ->
    #{node => Node, began => Began, ended => Ended, heard => Heard}.

%% What both know of each other, at 0 and at 2000.
known(A, B, Before, After) ->
    #{{A, B} => {at(0, Before), at(2000, After)},
      {B, A} => {at(0, reversed(Before)), at(2000, reversed(After))}}.

at(_, none) -> none;
at(At, {Least, Most}) -> {Least, Most, At}.

reversed(none) -> none;
reversed({Least, Most}) -> {-Most, -Least}.

%% ------------------------------------------------------------------
%% Simulated clocks

%% As NTP slews them, and as a program may that slews faster, in one direction.
never_of_holds_that_were_apart_test_() ->
    [{Name, {timeout, 240, fun() -> sound(Seed, Clocks) end}}
     || {Name, Seed, Clocks} <- [{"slewed by NTP", 1, fun() -> between(-500, 500) end},
                                 {"slewed fast", 2, fun() -> between(-50000, 50000) end}]].

sound(Seed, Drift) ->
    _ = rand:seed(exsss, {Seed, 2, 3}),
    Counts = lists:foldl(
               fun(_, Counted) ->
                       Case = made_up(between(2, 3), Drift),
                       Verdict = verdict(Case),
                       case Verdict of
                           proven -> ?assertMatch({true, _}, {is_common(Case), Case});
                           apart -> ok
                       end,
                       maps:update_with({is_common(Case), Verdict}, fun(N) -> N + 1 end, 1, Counted)
               end, #{}, lists:seq(1, ?CASES)),
    %% It was worth looking: there were many of each sort, and close ones.
    ?assertMatch(#{{true, proven} := Proven, {false, apart} := Apart}
                   when Proven > ?CASES div 100 andalso Apart > ?CASES div 100, Counts).

%% Where links are quick and the holds overlap by more than what is not known, that is proven.
what_is_plain_is_proven_test_() ->
    {timeout, 60,
     fun() ->
             _ = rand:seed(exsss, {4, 5, 6}),
             [begin
                  Nodes = [node(Name, fun() -> between(-500, 500) end) || Name <- [a, b, c, d, e]],
                  Holds = maps:from_list([{Name, {100 * ?MS + between(0, ?MS),
                                                  102 * ?MS + between(0, ?MS)}}
                                          || #{name := Name} <- Nodes]),
                  Case = {Nodes, Holds, 100 * ?US},
                  ?assertMatch({proven, Case}, {verdict(Case), Case})
              end || _ <- lists:seq(1, 200)]
     end}.

%% A virtual machine that was suspended while it was held: its clock has lost that time, and only
%% messages may prove anything of it.
a_clock_that_stood_still_proves_nothing_test() ->
    _ = rand:seed(exsss, {7, 8, 9}),
    [begin
         Nodes = [node(Name, fun() -> between(-500, 500) end) || Name <- [a, b]],
         Lost = between(5 * ?MS, 100 * ?MS),
         Holds = #{a => {100 * ?MS, 101 * ?MS}, b => {102 * ?MS + Lost, 103 * ?MS + Lost}},
         Suspended = [case Node of
                          #{name := b} -> Node#{suspended => {101 * ?MS, Lost}};
                          _ -> Node
                      end || Node <- Nodes],
         ?assertEqual(apart, verdict({Suspended, Holds, 200 * ?US}))
     end || _ <- lists:seq(1, 1000)].

%% ------------------------------------------------------------------

verdict({Nodes, Holds, Slowest}) ->
    Stood = [begin
                 {Began, Ended} = maps:get(Name, Holds),
                 %% What a node claims is read within its hold.
                 stood(Name, clock(Began, Node), clock(Ended, Node), [])
             end || #{name := Name} = Node <- Nodes],
    Known = maps:from_list(
              [{{I, J}, {asked(begins(Holds) - 20 * ?MS, Here, There, Slowest),
                         asked(ends(Holds) + 5 * ?MS, Here, There, Slowest)}}
               || #{name := I} = Here <- Nodes, #{name := J} = There <- Nodes, I =/= J]),
    element(1, prove(Stood, Known)).

is_common({_, Holds, _}) ->
    lists:max([Began || {Began, _} <- maps:values(Holds)])
        =< lists:min([Ended || {_, Ended} <- maps:values(Holds)]).

begins(Holds) -> lists:min([Began || {Began, _} <- maps:values(Holds)]).
ends(Holds) -> lists:max([Ended || {_, Ended} <- maps:values(Holds)]).

made_up(Count, Drift) ->
    Nodes = [node(Name, Drift) || Name <- lists:sublist([a, b, c], Count)],
    %% Ends and beginnings are close to each other, where mistakes would be.
    Close = lists:nth(between(1, 4), [20 * ?US, 200 * ?US, 2 * ?MS, 20 * ?MS]),
    Holds = maps:from_list([begin
                                Began = 100 * ?MS + between(0, Close),
                                {Name, {Began, Began + between(0, Close)}}
                            end || #{name := Name} <- Nodes]),
    {Nodes, Holds, lists:nth(between(1, 3), [10 * ?US, 100 * ?US, 3 * ?MS])}.

node(Name, Drift) ->
    #{name => Name, ahead => between(-?MS * ?MS, ?MS * ?MS), drift => Drift()}.

%% The whole microseconds that a node's clock shows.
clock(Time, #{ahead := Ahead, drift := Drift} = Node) ->
    Passed = case Node of
                 #{suspended := {From, _}} when Time =< From -> Time;
                 #{suspended := {From, Lost}} when Time =< From + Lost -> From;
                 #{suspended := {_, Lost}} -> Time - Lost;
                 _ -> Time
             end,
    floor_div(Ahead + Passed + Passed * Drift div 1000000, ?US).

floor_div(Number, Divisor) when Number >= 0 -> Number div Divisor;
floor_div(Number, Divisor) -> -((Divisor - 1 - Number) div Divisor).

%% A few questions, one after the other. Each way takes its own time.
asked(Start, Here, There, Slowest) ->
    {Samples, _} = lists:mapfoldl(
                     fun(_, Sent) ->
                             Read = Sent + between(0, Slowest),
                             Heard = Read + between(0, Slowest),
                             {{clock(Sent, Here), clock(Read, There), clock(Heard, Here)},
                              Heard + between(0, 50 * ?US)}
                     end, Start, lists:seq(1, between(1, 8))),
    bounds(Samples).

between(Least, Most) ->
    Least + rand:uniform(Most - Least + 1) - 1.

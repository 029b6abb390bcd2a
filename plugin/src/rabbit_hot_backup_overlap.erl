%% Whether several nodes stood still at one moment, from what each of them has seen.
%%
%% A node stands still from `began` to `ended`, so its files are those of every moment in between.
%% If each began before each other one ended, then the last to begin did so before the first ended:
%% there is a moment at which all stood still, and what was taken of each is of that moment. When a
%% node took it does not matter.
%%
%% That J began before I ended is proven for a pair in either of two ways:
%% - I heard so: a message that J sent after it had begun was taken by I before it ended.
%% - The clocks say so. I has asked J for its time before it stood still and afterwards (`bounds`),
%%   so it knows in what bounds J's clock is ahead of its own when it ends.
%%
%% Nothing here trusts that clocks show the same, nor, for long, that they go at the same pace: what
%% is known before and afterwards has to agree. A clock that was disturbed by more than the bounds
%% allow (the machine was suspended, or moved) contradicts itself, and then clocks prove nothing for
%% it.
-module(rabbit_hot_backup_overlap).

-export([now_us/0, bounds/1, there/2, width/1, prove/2]).

-export_type([moment/0, sample/0, bounds/0, stood/0, known/0, proof/0]).

-type moment() :: integer().
%% Microseconds of a node's own clock.

-type sample() :: {Asked :: moment(), Answered :: moment(), Heard :: moment()}.
%% Of one question for the time: `Answered` is of the other's clock.

-type bounds() :: {Least :: integer(), Most :: integer(), At :: moment()}.
%% By how much another node's clock was ahead of one's own, at a moment of one's own.

-type stood() :: #{node := node(), began := moment(), ended := moment(), heard := [node()],
                   _ => _}.

-type known() :: #{{Here :: node(), There :: node()} => {Before :: bounds() | none,
                                                         After :: bounds() | none}}.
%% What the first knows of the second's clock.

-type proof() :: #{overlap_us := non_neg_integer(), proof := messages | clocks | both}.
%% `overlap_us`: for so long at least all of them stood still together; 0 where clocks do not say.
%% `proof`: what proves it by itself; `both` if each of them does, or only the two together.

%% The most by which two clocks drift apart, in millionths of the time that goes by. NTP slews a
%% clock by 500 at the most; of programs that slew it faster see least_ahead/3.
-define(DRIFT, 1001).
%% A clock's microseconds are whole.
-define(PRECISION, 1).

-spec now_us() -> moment().
%% The clock that all moments are of. It is the system's CLOCK_MONOTONIC, which is slewed and never
%% set; erlang:monotonic_time/1 may be wrong by a hundredth while Erlang corrects it.
now_us() ->
    os:perf_counter(microsecond).

-spec bounds([sample()]) -> bounds() | none.
%% What all samples allow, at the last of them. `none` if there is none, or if they contradict each
%% other.
bounds([]) ->
    none;
bounds(Samples) ->
    At = lists:max([Heard || {_, _, Heard} <- Samples]),
    {Least, Most} = common([widened(At, bounds_of(Sample)) || Sample <- Samples]),
    case Least =< Most of
        true -> {Least, Most, At};
        false -> none
    end.

-spec there(moment(), bounds()) -> moment().
%% What the other's clock shows at a moment of one's own, as well as it is known.
there(Moment, {Least, Most, _}) ->
    Moment + (Least + Most) div 2.

-spec width(bounds()) -> non_neg_integer().
%% How much is not known.
width({Least, Most, _}) ->
    Most - Least.

-spec prove([stood(), ...], known()) ->
          {proven, proof()} | {apart, [{Ended :: node(), Began :: node()}]}.
%% `apart` names the pairs that nothing proves.
prove(Stood, Known) ->
    Pairs = [{{maps:get(node, I), maps:get(node, J)}, has_heard(I, J), overlap(I, J, Known)}
             || I <- Stood, J <- Stood],
    case [Pair || {Pair, false, unknown} <- Pairs] of
        [] ->
            Overlaps = [Overlap || {_, _, Overlap} <- Pairs],
            {proven, case {lists:all(fun({_, Heard, _}) -> Heard end, Pairs),
                           lists:member(unknown, Overlaps)} of
                         {true, true} -> #{overlap_us => 0, proof => messages};
                         {false, true} -> #{overlap_us => 0, proof => both};
                         {true, false} -> #{overlap_us => lists:min(Overlaps), proof => both};
                         {false, false} -> #{overlap_us => lists:min(Overlaps), proof => clocks}
                     end};
        Apart ->
            {apart, Apart}
    end.

-spec has_heard(stood(), stood()) -> boolean().
has_heard(#{node := Node}, #{node := Node}) -> true;
has_heard(#{heard := Heard}, #{node := Node}) -> lists:member(Node, Heard).

-spec overlap(stood(), stood(), known()) -> non_neg_integer() | unknown.
%% How long J had stood still, at the least, when I ended.
%%
%% What is looked at is J's clock at that moment. It showed at least this; if that is after J's
%% beginning, then so was the moment.
overlap(#{node := Node, began := Began, ended := Ended}, #{node := Node}, _) ->
    Ended - Began;
overlap(#{node := I, ended := Ended}, #{node := J, began := Began}, Known) ->
    case Known of
        #{{I, J} := {Before, After}} when Before =/= none, After =/= none ->
            case least_ahead(Ended, Before, After) of
                {ok, Least} when Ended + Least > Began -> Ended + Least - Began;
                _ -> unknown
            end;
        #{} ->
            unknown
    end.

-spec least_ahead(moment(), bounds(), bounds()) -> {ok, integer()} | contradiction.
%% As long as no clock is disturbed each of them is true by itself, and they agree. The more careful
%% one is taken: it is true of a clock, too, that is slewed faster than ?DRIFT, if it is slewed in
%% one direction all the time.
least_ahead(Moment, Before, After) ->
    Both = [{FirstLeast, _}, {SecondLeast, _}] = [widened(Moment, Before), widened(Moment, After)],
    {Least, Most} = common(Both),
    case Least =< Most of
        true -> {ok, min(FirstLeast, SecondLeast)};
        false -> contradiction
    end.

-spec bounds_of(sample()) -> bounds().
%% The other's clock was read at some moment between the question and when the answer was heard.
bounds_of({Asked, Answered, Heard}) ->
    {Least, Most} = widened(Heard, {Answered - Heard - ?PRECISION, Answered - Asked + ?PRECISION,
                                    Asked}),
    {Least, Most, Heard}.

-spec widened(moment(), bounds()) -> {Least :: integer(), Most :: integer()}.
%% At another moment.
widened(Moment, {Least, Most, At}) ->
    Drift = abs(Moment - At) * ?DRIFT div 1000000 + 1,
    {Least - Drift, Most + Drift}.

-spec common([{Least :: integer(), Most :: integer()}, ...]) -> {integer(), integer()}.
common(Bounds) ->
    {lists:max([Least || {Least, _} <- Bounds]), lists:min([Most || {_, Most} <- Bounds])}.

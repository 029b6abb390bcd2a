%% How fast a job gets on, and how long it will take.
%%
%% Of what the program does alone it says so itself. Of a backup it only tells how far it is, so that
%% speed is measured here: within a phase, for one phase says nothing about the next.
-module(rabbit_hot_backup_pace).

-export([progressed/3]).

-export_type([pace/0]).

-type pace() :: {Phase :: binary(), Began :: integer(), DoneThen :: non_neg_integer()}.

%% What was done in less time, in milliseconds, says too little.
-define(LEAST, 500).

-spec progressed(Job, Progress :: map(), Now :: integer()) -> Job when Job :: map().
%% The job with its progress. Now is a monotonic time in milliseconds.
progressed(Job, #{phase := Phase, progress := Progress} = News, Now) ->
    {Done, _} = Progress,
    Pace = case Job of
               #{pace := {Phase, _, DoneThen} = Known} when DoneThen =< Done -> Known;
               #{} -> {Phase, Now, Done}
           end,
    Measured = maps:merge(measure(Pace, Progress, Now), News),
    maps:merge(maps:without([speed, remaining], Job), Measured#{pace => Pace}).

-spec measure(pace(), {non_neg_integer(), non_neg_integer()}, integer()) -> map().
measure({_, Began, DoneThen}, {Done, Total}, Now) when Now - Began >= ?LEAST, Done > DoneThen ->
    Speed = max(1, (Done - DoneThen) * 1000 div (Now - Began)),
    %% The total is an estimate, which the work may exceed; 0 is none.
    maps:merge(#{speed => Speed},
               maps:from_list([{remaining, max(0, Total - Done) div Speed} || Total > 0]));
measure(_, _, _) ->
    #{}.

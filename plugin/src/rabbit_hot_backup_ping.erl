%% Asks other nodes what their clocks show.
%%
%% Whoever is asked gets `{ping, From, Reference}` as a message and has answer/2 answer it, at once:
%% the sooner, the closer the bounds (rabbit_hot_backup_overlap).
-module(rabbit_hot_backup_ping).

-export([answer/2, bounds/2]).

-export_type([bounds/0, target/0]).

-type target() :: pid() | {Name :: atom(), node()}.

-type bounds() :: #{node() => #{bounds := rabbit_hot_backup_overlap:bounds() | none,
                                round_trip_us := non_neg_integer() | unknown}}.
%% `round_trip_us` is the shortest.

%% The closest of a few is much closer than any.
-define(ROUNDS, 8).

-spec answer(From :: pid(), reference()) -> ok.
answer(From, Reference) ->
    _ = erlang:send(From, {pong, Reference, rabbit_hot_backup_overlap:now_us()}, [noconnect]),
    ok.

-spec bounds([{node(), target()}], Milliseconds :: pos_integer()) -> bounds().
%% Asks all of them, a few times. `none` of those that did not answer in time.
%%
%% Answers that come too late find nobody: it is asked by a process of its own.
bounds(Targets, Milliseconds) ->
    Deadline = rabbit_hot_backup_overlap:now_us() + 1000 * Milliseconds,
    Ask = fun() -> exit({answered, rounds(?ROUNDS, Targets, Deadline, #{})}) end,
    {Pid, Monitor} = spawn_opt(Ask, [monitor, {priority, high}]),
    receive
        {'DOWN', Monitor, process, Pid, {answered, Samples}} ->
            maps:from_list([{Node, summary(maps:get(Node, Samples, []))} || {Node, _} <- Targets])
    end.

-spec summary([rabbit_hot_backup_overlap:sample()]) ->
          #{bounds := rabbit_hot_backup_overlap:bounds() | none,
            round_trip_us := non_neg_integer() | unknown}.
summary([]) ->
    #{bounds => none, round_trip_us => unknown};
summary(Samples) ->
    #{bounds => rabbit_hot_backup_overlap:bounds(Samples),
      round_trip_us => lists:min([Heard - Asked || {Asked, _, Heard} <- Samples])}.

-type samples() :: #{node() => [rabbit_hot_backup_overlap:sample()]}.

-spec rounds(non_neg_integer(), [{node(), target()}], rabbit_hot_backup_overlap:moment(),
             samples()) -> samples().
%% Who did not answer once is not asked again.
rounds(0, _, _, Samples) ->
    Samples;
rounds(Left, Targets, Deadline, Samples) ->
    Asked = maps:from_list([ask(Target) || Target <- Targets]),
    Answers = answers(Asked, Deadline, #{}),
    Next = maps:fold(fun(Node, Sample, Known) ->
                             Known#{Node => [Sample | maps:get(Node, Known, [])]}
                     end, Samples, Answers),
    rounds(Left - 1, [Target || {Node, _} = Target <- Targets, is_map_key(Node, Answers)],
           Deadline, Next).

-spec ask({node(), target()}) -> {reference(), {node(), rabbit_hot_backup_overlap:moment()}}.
ask({Node, Target}) ->
    Reference = make_ref(),
    Asked = rabbit_hot_backup_overlap:now_us(),
    _ = erlang:send(Target, {ping, self(), Reference}, [noconnect]),
    {Reference, {Node, Asked}}.

-spec answers(#{reference() => {node(), rabbit_hot_backup_overlap:moment()}},
              rabbit_hot_backup_overlap:moment(),
              #{node() => rabbit_hot_backup_overlap:sample()}) ->
          #{node() => rabbit_hot_backup_overlap:sample()}.
answers(Asked, _, Answers) when map_size(Asked) =:= 0 ->
    Answers;
answers(Asked, Deadline, Answers) ->
    receive
        {pong, Reference, Answered} when is_map_key(Reference, Asked) ->
            Heard = rabbit_hot_backup_overlap:now_us(),
            {{Node, Sent}, Others} = maps:take(Reference, Asked),
            answers(Others, Deadline, Answers#{Node => {Sent, Answered, Heard}})
    after max(0, (Deadline - rabbit_hot_backup_overlap:now_us()) div 1000) ->
            Answers
    end.

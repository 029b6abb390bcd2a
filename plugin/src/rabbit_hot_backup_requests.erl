%% The requests of one engine: taken in order, one in hand at a time.
%%
%% What takes a while is done by a worker process, so that the session goes on hearing. A request
%% whose deadline has passed is given up, in hand or not: nobody waits for its answer any more.
%% Those that end something are done however late: what they end would stay for ever.
%% Belongs to one process, which gets the workers' `DOWN` messages and `{timeout, Timer,
%% request}`.
-module(rabbit_hot_backup_requests).

-export([new/0, take/5, next/1, start/3, finished/3, expired/2, is_busy/1, stop/1]).

-export_type([requests/0, request/0]).

-type request() :: #{id := rabbit_hot_backup_protocol:id(),
                     deadline := integer() | never,
                     operation := atom() | {unknown, binary()},
                     arguments := rabbit_hot_backup_protocol:details()}.

%% An engine conducts: it asks and waits. So this many requests at once are a fault.
-define(MOST_OPEN, 64).

-record(work, {request :: request(),
               pid :: pid(),
               monitor :: reference(),
               timer :: reference() | undefined}).

-record(requests, {todo = queue:new() :: queue:queue(request()),
                   work :: #work{} | undefined}).

-opaque requests() :: #requests{}.

-spec new() -> requests().
new() ->
    #requests{}.

-spec take(rabbit_hot_backup_protocol:id(), Milliseconds :: non_neg_integer(),
           atom() | {unknown, binary()}, rabbit_hot_backup_protocol:details(), requests()) ->
          {ok, requests()} | {error, rabbit_hot_backup_protocol:error()}.
take(Id, Milliseconds, Operation, Arguments, #requests{todo = Todo, work = Work} = Requests) ->
    Waiting = queue:filter(fun is_awaited/1, Todo),
    Open = [Other || #{id := Other} <- queue:to_list(Waiting)]
        ++ [Other || #work{request = #{id := Other}} <- [Work]],
    case lists:member(Id, Open) of
        true ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the program used the request number ~b twice", [Id])};
        false when length(Open) >= ?MOST_OPEN ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "the program has more than ~b requests open", [?MOST_OPEN])};
        false ->
            Request = #{id => Id, deadline => deadline(Operation, Milliseconds),
                        operation => Operation, arguments => Arguments},
            {ok, Requests#requests{todo = queue:in(Request, Waiting)}}
    end.

-spec deadline(atom() | {unknown, binary()}, non_neg_integer()) -> integer() | never.
deadline(Operation, _) when Operation =:= job_end; Operation =:= checkpoint_end -> never;
deadline(_, Milliseconds) -> now_ms() + Milliseconds.

-spec is_awaited(request()) -> boolean().
is_awaited(#{deadline := never}) -> true;
is_awaited(#{deadline := Deadline}) -> now_ms() =< Deadline.

-spec next(requests()) -> {request() | none, requests()}.
%% The next one to be done; none while one is in hand.
next(#requests{work = undefined, todo = Todo} = Requests) ->
    case queue:out(Todo) of
        {{value, Request}, Others} ->
            Rest = Requests#requests{todo = Others},
            case is_awaited(Request) of
                true -> {Request, Rest};
                false -> next(Rest)
            end;
        {empty, _} ->
            {none, Requests}
    end;
next(Requests) ->
    {none, Requests}.

-spec start(fun(() -> rabbit_hot_backup_operations:answer()), request(), requests()) -> requests().
%% Lets a worker find the answer.
start(Fun, #{deadline := Deadline} = Request, #requests{work = undefined} = Requests) ->
    {Pid, Monitor} = spawn_monitor(fun() -> exit({answer, Fun()}) end),
    Timer = case Deadline of
                never -> undefined;
                _ -> erlang:start_timer(max(0, Deadline - now_ms()), self(), request)
            end,
    Requests#requests{work = #work{request = Request, pid = Pid, monitor = Monitor,
                                   timer = Timer}}.

-spec finished(Monitor :: reference(), Reason :: term(), requests()) ->
          {request(), rabbit_hot_backup_operations:answer(), requests()} | unknown.
finished(Monitor, Reason, #requests{work = #work{monitor = Monitor} = Work} = Requests) ->
    _ = [erlang:cancel_timer(Timer) || #work{timer = Timer} <- [Work], Timer =/= undefined],
    Answer = case Reason of
                 {answer, Given} -> Given;
                 _ -> {error, rabbit_hot_backup_protocol:error(
                                failed, "the plugin could not do it: ~tp", [Reason])}
             end,
    {Work#work.request, Answer, Requests#requests{work = undefined}};
finished(_, _, _) ->
    unknown.

-spec expired(Timer :: reference(), requests()) -> {request(), requests()} | unknown.
expired(Timer, #requests{work = #work{timer = Timer, request = Request}} = Requests) ->
    ok = stop(Requests),
    {Request, Requests#requests{work = undefined}};
expired(_, _) ->
    unknown.

-spec is_busy(requests()) -> boolean().
is_busy(#requests{work = Work}) ->
    Work =/= undefined.

-spec stop(requests()) -> ok.
%% Ends the worker. It is gone when this returns: whatever it asked of others was asked before.
stop(#requests{work = undefined}) ->
    ok;
stop(#requests{work = #work{pid = Pid, monitor = Monitor}}) ->
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, _, _} -> ok end.

-spec now_ms() -> integer().
now_ms() ->
    erlang:monotonic_time(millisecond).

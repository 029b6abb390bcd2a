%% A process of the operating system that we started, told apart from a later one with the same
%% number.
%%
%% A port gives the number of its program. The number may belong to someone else as soon as the
%% program has ended, so it goes together with the time at which the process started (Linux:
%% /proc/PID/stat).
-module(rabbit_hot_backup_os_process).

-export([identify/1, gone/0, interrupt/1, kill/1, wait/2]).

-export_type([os_process/0]).

-opaque os_process() :: {Pid :: non_neg_integer(), Started :: binary() | unknown}.

%% How often a process that should end is looked at.
-define(GLANCE, 20).

-spec identify(non_neg_integer()) -> os_process().
identify(Pid) ->
    case state(Pid) of
        {_, Started} -> {Pid, Started};
        gone -> {Pid, unknown}
    end.

-spec gone() -> os_process().
%% One that had ended before it could be identified.
gone() ->
    {0, unknown}.

-spec is_running(os_process()) -> boolean().
%% A zombie has ended: only its exit status is still there.
is_running({_, unknown}) -> false;
is_running({Pid, Started}) ->
    case state(Pid) of
        {<<"Z">>, _} -> false;
        {_, Started} -> true;
        _ -> false
    end.

-spec interrupt(os_process()) -> ok.
%% Asks it to end.
interrupt(Process) ->
    signal("TERM", Process).

-spec kill(os_process()) -> ok.
%% Ends it at once, whatever it does, stopped processes included.
kill(Process) ->
    signal("KILL", Process).

-spec signal(string(), os_process()) -> ok.
%% Erlang itself cannot send signals.
signal(Name, {Pid, _} = Process) ->
    case is_running(Process) of
        true ->
            _ = os:cmd("kill -" ++ Name ++ " " ++ integer_to_list(Pid), #{max_size => 1000}),
            ok;
        false ->
            ok
    end.

-spec wait(os_process(), Milliseconds :: non_neg_integer()) -> gone | running.
%% Waits for its end.
wait(Process, Milliseconds) ->
    wait_until(Process, erlang:monotonic_time(millisecond) + Milliseconds).

-spec wait_until(os_process(), integer()) -> gone | running.
wait_until(Process, Deadline) ->
    case is_running(Process) of
        false -> gone;
        true ->
            case erlang:monotonic_time(millisecond) < Deadline of
                true ->
                    receive after ?GLANCE -> wait_until(Process, Deadline) end;
                false ->
                    running
            end
    end.

-spec state(non_neg_integer()) -> {State :: binary(), Started :: binary()} | gone.
%% The command's name, in parentheses, may hold anything: the fields are counted after the last
%% parenthesis, behind which the state is the 3rd and the start time the 22nd of the line.
state(Pid) ->
    case file:read_file("/proc/" ++ integer_to_list(Pid) ++ "/stat") of
        {ok, Line} ->
            [_, Fields] = string:split(Line, ") ", trailing),
            [State | Others] = binary:split(Fields, <<" ">>, [global]),
            {State, lists:nth(22 - 3, Others)};
        {error, _} ->
            gone
    end.

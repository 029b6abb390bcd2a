%% A process of the operating system that we started, told apart from a later one with the same
%% number.
%%
%% A port gives the number of its program. The number may belong to someone else as soon as the
%% program has ended, so it goes together with the time at which the process started (Linux:
%% /proc/PID/stat).
-module(rabbit_hot_backup_os_process).

-export([output/3, of_port/1, close_port/1, identify/1, interrupt/1, kill/1, wait/2, end_group/2]).

-export_type([os_process/0]).

-opaque os_process() :: {Pid :: non_neg_integer(), Started :: binary() | unknown}.

%% How often a process that should end is looked at.
-define(GLANCE, 20).

-spec output(Program :: string(), [file:filename_all()], Milliseconds :: non_neg_integer()) ->
          {ok, binary()} | {stuck, os_process()} | none.
%% Runs a small program that is on the path, with what it prints on both of its outputs. One that
%% does not end in time is killed, which does not help while a disk does not answer it.
output(Program, Arguments, Milliseconds) ->
    case os:find_executable(Program) of
        false ->
            none;
        Path ->
            Port = open_port({spawn_executable, Path},
                             [{args, Arguments}, binary, exit_status, use_stdio, stderr_to_stdout,
                              hide, {cd, "/"}]),
            collect(Port, of_port(Port), <<>>, erlang:monotonic_time(millisecond) + Milliseconds)
    end.

-spec collect(port(), os_process(), binary(), Deadline :: integer()) ->
          {ok, binary()} | {stuck, os_process()}.
collect(Port, Process, Output, Deadline) ->
    receive
        {Port, {data, Data}} -> collect(Port, Process, <<Output/binary, Data/binary>>, Deadline);
        {Port, {exit_status, _}} -> {ok, Output}
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
            close_port(Port),
            kill(Process),
            {stuck, Process}
    end.

-spec of_port(port()) -> os_process().
%% The program that a port runs, also when it has ended by now.
of_port(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} -> identify(Pid);
        undefined -> {0, unknown}
    end.

-spec close_port(port()) -> ok.
%% By its owner, which is not ended with it. Does not wait for what the program has not read, and no
%% message of the port comes any more.
close_port(Port) ->
    unlink(Port),
    Monitor = erlang:monitor(port, Port),
    exit(Port, kill),
    receive {'DOWN', Monitor, port, _, _} -> ok end,
    flush(Port).

-spec flush(port()) -> ok.
flush(Port) ->
    receive
        {Port, _} -> flush(Port);
        {'EXIT', Port, _} -> flush(Port)
    after 0 -> ok
    end.

-spec identify(non_neg_integer()) -> os_process().
identify(Pid) ->
    case state(Pid) of
        {_, Started} -> {Pid, Started};
        gone -> {Pid, unknown}
    end.

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
        true -> send(Name, integer_to_list(Pid));
        false -> ok
    end.

-spec send(Signal :: string(), Target :: string()) -> ok.
send(Name, Target) ->
    _ = os:cmd("kill -" ++ Name ++ " " ++ Target, #{max_size => 1000}),
    ok.

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

-spec end_group(os_process(), Milliseconds :: non_neg_integer()) -> ok.
%% Ends a port's program and all that it has started: a port's program leads a group of its own. They
%% are asked to end, and those that are left after this time are killed.
end_group({Pid, _} = Leader, Milliseconds) ->
    case is_running(Leader) of
        true -> send("TERM", group_of(Pid));
        false -> ok
    end,
    _ = wait(Leader, Milliseconds),
    %% As long as one is left, nobody else gets the group's number.
    case lists:any(fun(Other) -> is_in_group(Other, Pid) end, filelib:wildcard("[1-9]*", "/proc")) of
        true -> send("KILL", group_of(Pid));
        false -> ok
    end.

-spec group_of(non_neg_integer()) -> string().
group_of(Pid) ->
    "-" ++ integer_to_list(Pid).

-spec is_in_group(Other :: string(), Leader :: non_neg_integer()) -> boolean().
is_in_group(Other, Leader) ->
    case fields(Other) of
        [<<"Z">> | _] -> false;
        [_, _, Group | _] -> Group =:= integer_to_binary(Leader);
        gone -> false
    end.

-spec state(non_neg_integer()) -> {State :: binary(), Started :: binary()} | gone.
%% The state is the 3rd and the start time the 22nd of the line.
state(Pid) ->
    case fields(integer_to_list(Pid)) of
        [State | Others] -> {State, lists:nth(22 - 3, Others)};
        gone -> gone
    end.

-spec fields(Pid :: string()) -> [binary(), ...] | gone.
%% From the 3rd of the line on: the command's name before it, in parentheses, may hold anything.
fields(Pid) ->
    case file:read_file("/proc/" ++ Pid ++ "/stat") of
        {ok, Line} ->
            [_, Fields] = string:split(Line, ") ", trailing),
            binary:split(Fields, <<" ">>, [global]);
        {error, _} ->
            gone
    end.

%% What carries messages between the plugin and an engine: docs/protocol.md, "Carriers".
%%
%% A carrier belongs to the process that opened it (rabbit_hot_backup_holder): what the peer sends
%% arrives there, and with its end the connection ends. Others may use it too. send/2 blocks while
%% the peer does not read: see rabbit_hot_backup_writer.
-module(rabbit_hot_backup_carrier).

-export([cannot_start/2, exited/2]).
-export([open/1, received/2, send/2, prepare/2, send_at_once/2, close/2]).

-export_type([carrier/0, target/0, prepared/0]).

-type target() :: {stdio, Executable :: file:filename()} | {distribution, pid()}.

-record(stdio, {port :: port(),
                process :: rabbit_hot_backup_os_process:os_process() | undefined,
                executable :: file:filename(),
                input = <<>> :: binary()}).

-record(distribution, {pid :: pid(), monitor :: reference()}).

-opaque carrier() :: #stdio{} | #distribution{}.

-opaque prepared() :: iodata() | rabbit_hot_backup_protocol:message().
%% A message as its carrier takes it.

%% How long a program that has read the end of its input may take to leave. It removes what it had
%% not published.
-define(LEAVE, 5000).

-spec open(target()) -> {ok, carrier()} | {error, rabbit_hot_backup_protocol:error()}.
open({stdio, Executable}) ->
    %% The program gets "/" as its directory: it must not hold the broker's.
    Settings = [{args, ["port"]}, stream, binary, exit_status, use_stdio, hide, {cd, "/"}],
    try open_port({spawn_executable, Executable}, Settings) of
        Port -> {ok, identify(#stdio{port = Port, executable = Executable})}
    catch
        error:Reason -> {error, cannot_start(Executable, Reason)}
    end;
open({distribution, Pid}) ->
    %% A C node knows nothing of processes: the monitor then tells that the connection went down.
    {ok, #distribution{pid = Pid, monitor = erlang:monitor(process, Pid)}}.

-spec identify(#stdio{}) -> #stdio{}.
%% A program that has ended by now has no number any more; its exit status is on the way.
identify(#stdio{port = Port} = Stdio) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, Pid} ->
            Stdio#stdio{process = rabbit_hot_backup_os_process:identify(Pid)};
        undefined ->
            Stdio
    end.

-spec received(term(), carrier()) ->
          {messages, [rabbit_hot_backup_protocol:incoming()], carrier()}
        | {closed, rabbit_hot_backup_protocol:error()}
        | {broken, rabbit_hot_backup_protocol:error()}
        | ignored.
%% What an Erlang message means: messages of the peer; that the peer is gone; that it sent
%% something else.
received({Port, {data, Bytes}}, #stdio{port = Port, input = Input} = Stdio) ->
    case rabbit_hot_backup_protocol:unframe(<<Input/binary, Bytes/binary>>) of
        {Messages, Rest} when is_list(Messages) ->
            {messages, Messages, Stdio#stdio{input = Rest}};
        {error, Error} ->
            {broken, Error}
    end;
received({Port, {exit_status, Status}}, #stdio{port = Port, executable = Executable}) ->
    {closed, exited(Executable, Status)};
received({'EXIT', Port, _}, #stdio{port = Port, executable = Executable}) ->
    {closed, rabbit_hot_backup_protocol:error(
               failed, "the program ~ts closed its connection", [Executable])};
received(_, #stdio{}) ->
    ignored;
received({'DOWN', Monitor, process, _, _}, #distribution{monitor = Monitor, pid = Pid}) ->
    {closed, rabbit_hot_backup_protocol:error(
               failed, "the connection to ~ts went down", [node(Pid)])};
received(Message, #distribution{} = Distribution) ->
    case rabbit_hot_backup_protocol:check(Message) of
        {ok, Checked} -> {messages, [Checked], Distribution};
        {error, Error} -> {broken, Error}
    end.

-spec send(carrier(), rabbit_hot_backup_protocol:message()) -> ok.
%% That the peer is gone is no failure of the sender: whoever opened the carrier hears of it.
send(#stdio{port = Port} = Stdio, Message) ->
    try erlang:port_command(Port, prepare(Message, Stdio)) of
        true -> ok
    catch
        error:badarg -> ok
    end;
send(#distribution{pid = Pid}, Message) ->
    _ = erlang:send(Pid, Message, [noconnect]),
    ok.

-spec prepare(rabbit_hot_backup_protocol:message(), carrier()) -> prepared().
prepare(Message, #stdio{}) -> rabbit_hot_backup_protocol:frame(Message);
prepare(Message, #distribution{}) -> Message.

-spec send_at_once(prepared(), carrier()) -> boolean().
%% Never suspends the caller: tells whether the message is on its way.
send_at_once(Bytes, #stdio{port = Port}) ->
    try
        erlang:port_command(Port, Bytes, [nosuspend])
    catch
        error:badarg -> false
    end;
send_at_once(Message, #distribution{pid = Pid}) ->
    erlang:send(Pid, Message, [nosuspend, noconnect]) =:= ok.

-spec close(carrier(), leave | kill) -> ok.
%% Ends the connection, by whichever process; when this returns the program is gone. `leave` gives
%% it time to clean up.
close(#stdio{process = undefined} = Stdio, _) ->
    close_port(Stdio);
close(#stdio{process = Process} = Stdio, leave) ->
    close_port(Stdio),
    case rabbit_hot_backup_os_process:wait(Process, ?LEAVE) of
        gone -> ok;
        running -> rabbit_hot_backup_os_process:kill(Process)
    end;
close(#stdio{process = Process} = Stdio, kill) ->
    rabbit_hot_backup_os_process:kill(Process),
    close_port(Stdio),
    %% The kernel may need a while for it; until then it holds the lock of its repository.
    _ = rabbit_hot_backup_os_process:wait(Process, ?LEAVE),
    ok;
close(#distribution{pid = Pid}, _) ->
    %% A hidden node is one tool's own connection; to cut off a member of the cluster is not our
    %% business.
    case lists:member(node(Pid), nodes(hidden)) of
        true -> _ = erlang:disconnect_node(node(Pid)), ok;
        false -> ok
    end.

-spec close_port(#stdio{}) -> ok.
%% port_close/1 would first wait, for ever, until the program has read all that is queued for it;
%% and whoever is suspended in port_command/2 would wait with it. The program sees the end of its
%% input at once.
close_port(#stdio{port = Port}) ->
    Monitor = erlang:monitor(port, Port),
    exit(Port, kill),
    receive {'DOWN', Monitor, port, _, _} -> ok end.

-spec cannot_start(file:filename(), term()) -> rabbit_hot_backup_protocol:error().
%% Why open_port/2 did not start the program.
cannot_start(Executable, enoent) ->
    rabbit_hot_backup_protocol:error(
      failed, "the program ~ts does not exist", [Executable],
      "Install it there, or name the right path in the setting `executable` of "
      "rabbitmq_hot_backup.");
cannot_start(Executable, eacces) ->
    rabbit_hot_backup_protocol:error(
      failed, "the program ~ts cannot be executed: permission denied", [Executable],
      "Make it executable for the user that the broker runs as.");
cannot_start(Executable, Reason) ->
    rabbit_hot_backup_protocol:error(
      failed, "the program ~ts cannot be started: ~tp", [Executable, Reason]).

-spec exited(file:filename(), non_neg_integer()) -> rabbit_hot_backup_protocol:error().
%% Why the program ended. The VM reports a signal as 128 and its number.
exited(Executable, Status) when Status > 128 ->
    rabbit_hot_backup_protocol:error(
      failed, "the program ~ts was ended by signal ~b", [Executable, Status - 128],
      "Look for its last words in the output of the broker's service.");
exited(Executable, Status) ->
    rabbit_hot_backup_protocol:error(
      failed, "the program ~ts ended with exit code ~b", [Executable, Status],
      "Look for its last words in the output of the broker's service.").

%% Runs a hook: a program of the operator's, before or after a scheduled backup.
%%
%% It is over when it has ended and its output is closed. It gets a limited time for that; then it is
%% asked to end, with every process that it has started, and is killed when it does not. Only what
%% makes itself a session of its own escapes. What it prints goes into the broker's log, bounded.
-module(rabbit_hot_backup_hook).

-export([run/3]).

-export_type([environment/0]).

-type environment() :: [{Name :: string(), Value :: iodata()}].

%% What is kept of its output, in bytes: the end says most.
-define(KEPT, 8192).
%% How long it may take to end when it was asked to, in milliseconds.
-define(GRACE, 5000).

-record(hook, {path :: binary(),
               port :: port(),
               process :: rabbit_hot_backup_os_process:os_process(),
               output = <<>> :: binary()}).

-spec run(Path :: binary(), environment(), Milliseconds :: pos_integer()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% Waits for its end. Ends it when the caller, who has to trap exits, is to end.
run(Path, Environment, Milliseconds) ->
    Settings = [exit_status, binary, stream, use_stdio, stderr_to_stdout, hide, {cd, "/"},
                {env, [{Name, unicode:characters_to_list(Value)} || {Name, Value} <- Environment]}],
    try open_port({spawn_executable, Path}, Settings) of
        Port ->
            Deadline = erlang:monotonic_time(millisecond) + Milliseconds,
            wait(#hook{path = Path, port = Port, process = rabbit_hot_backup_os_process:of_port(Port)}, Deadline, Milliseconds)
    catch
        error:Reason when is_atom(Reason) ->
            {error, failed(Path, "cannot be executed: ~ts", [file:format_error(Reason)])}
    end.

-spec wait(#hook{}, Deadline :: integer(), Milliseconds :: pos_integer()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
wait(#hook{path = Path, port = Port, output = Output} = Hook, Deadline, Milliseconds) ->
    receive
        {Port, {data, Data}} ->
            wait(Hook#hook{output = tail(<<Output/binary, Data/binary>>)}, Deadline, Milliseconds);
        {Port, {exit_status, Status}} ->
            close(Hook),
            ended(Status, Hook);
        {'EXIT', Pid, Reason} when is_pid(Pid) ->
            stop(Hook),
            exit(Reason)
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
            stop(Hook),
            report(warning, "did not end in time", Hook),
            {error, failed(Path, "did not end within ~b s and was killed",
                           [max(1, Milliseconds div 1000)])}
    end.

-spec ended(Status :: non_neg_integer(), #hook{}) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
ended(0, Hook) ->
    report(info, "has ended", Hook),
    ok;
ended(Status, #hook{path = Path} = Hook) ->
    How = case Status of
              _ when Status > 128 -> io_lib:format("was ended by signal ~b", [Status - 128]);
              _ -> io_lib:format("ended with exit code ~b", [Status])
          end,
    report(warning, How, Hook),
    {error, failed(Path, How, [])}.

-spec failed(binary(), io:format(), [term()]) -> rabbit_hot_backup_protocol:error().
failed(Path, Format, Arguments) ->
    rabbit_hot_backup_protocol:error(
      failed, "the hook ~ts ~ts", [Path, io_lib:format(Format, Arguments)],
      "What it printed is in the broker's log. Run it by hand as the user that RabbitMQ runs as.").

-spec report(info | warning, iodata(), #hook{}) -> ok.
report(Level, What, #hook{path = Path, output = Output}) ->
    Printed = [["\n    ", printable(Line)]
               || Line <- binary:split(Output, <<"\n">>, [global, trim_all])],
    rabbit_hot_backup_compat:log(Level, "the hook ~ts ~ts~ts", [Path, What, Printed]).

-spec printable(binary()) -> binary().
printable(Line) ->
    Text = case unicode:characters_to_binary(Line) of
               Known when is_binary(Known) -> Known;
               _ -> unicode:characters_to_binary(Line, latin1)
           end,
    re:replace(Text, "[[:cntrl:]]", "?", [global, unicode, {return, binary}]).

-spec tail(binary()) -> binary().
tail(Output) when byte_size(Output) > ?KEPT ->
    binary:copy(binary:part(Output, byte_size(Output), -?KEPT));
tail(Output) ->
    Output.

-spec stop(#hook{}) -> ok.
stop(#hook{process = Process} = Hook) ->
    rabbit_hot_backup_os_process:end_group(Process, ?GRACE),
    close(Hook).

-spec close(#hook{}) -> ok.
close(#hook{port = Port}) ->
    rabbit_hot_backup_os_process:close_port(Port).

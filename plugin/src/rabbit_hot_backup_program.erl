%% Runs the program once, for something that it does without the node: listing, verifying, deleting,
%% restoring. What it can do, and what it prints with `--json`, is in docs/json.md.
%%
%% A program belongs to the process that started it and ends with it. What it prints is bounded:
%% nothing that it does makes the broker's memory grow without an end.
-module(rabbit_hot_backup_program).

-export([check_id/1]).
-export([run/2, run_all/2, print/2]).
-export([start/1, received/2, error_of/1, exited/1, interrupt/1, leave/2, kill/1]).
-export([start_for_bytes/1, ask/1, receive_bytes/2]).

-export_type([program/0, object/0]).

-type object() :: #{binary() => term()}.
%% A line that the program printed: `message_type` says what it is.

-record(program, {port :: port(),
                  watch :: reference(),
                  process :: rabbit_hot_backup_os_process:os_process(),
                  line = [] :: iodata(),
                  %% Bytes: of the line, and of all lines but those that tell progress.
                  length = 0 :: non_neg_integer(),
                  printed = 0 :: non_neg_integer()}).

-opaque program() :: #program{}.

%% The longest line, and all of a run that is kept, in bytes. `show` of a node with tens of
%% thousands of queues prints some megabytes in a line.
-define(LONGEST_LINE, 64 * 1024 * 1024).
-define(LINE_PIECE, 64 * 1024).
%% How long a killed program may take to be gone.
-define(DEATH, 5000).

-spec check_id(Backup :: binary()) -> ok | {error, rabbit_hot_backup_protocol:error()}.
%% Whether this may be a backup's ID, `latest`, or the beginning of an ID. Anything else must not
%% get among the program's arguments, where it might be taken for an option.
check_id(Backup) ->
    case re:run(Backup, "^[0-9A-Za-z][0-9A-Za-z.]*$", [{capture, none}, dollar_endonly]) of
        match -> ok;
        nomatch -> {error, rabbit_hot_backup_protocol:error(
                             not_found, "there is no backup ~ts", [Backup],
                             "See the list of backups for those that there are.")}
    end.

-spec run([iodata()], Milliseconds :: pos_integer()) ->
          {ok, [object()]} | {error, rabbit_hot_backup_protocol:error()}.
%% Runs it to its end and returns what it printed, but for its progress.
run(Arguments, Milliseconds) ->
    case run_all(Arguments, Milliseconds) of
        {ok, Objects} -> {ok, Objects};
        {error, Error, _} -> {error, Error}
    end.

-spec run_all([iodata()], Milliseconds :: pos_integer()) ->
          {ok, [object()]} | {error, rabbit_hot_backup_protocol:error(), [object()]}.
%% The same, for who wants what it printed before it failed, too.
run_all(Arguments, Milliseconds) ->
    case start(Arguments) of
        {ok, Program} ->
            collect(Program, [], erlang:monotonic_time(millisecond) + Milliseconds);
        {error, Error} ->
            {error, Error, []}
    end.

-spec collect(program(), [object()], Deadline :: integer()) ->
          {ok, [object()]} | {error, rabbit_hot_backup_protocol:error(), [object()]}.
collect(#program{port = Port} = Program, Objects, Deadline) ->
    receive
        {Port, _} = Message ->
            case received(Message, Program) of
                {printed, #{<<"message_type">> := <<"status">>}, Read} ->
                    collect(Read, Objects, Deadline);
                {printed, _, #program{printed = Printed}} when Printed > ?LONGEST_LINE ->
                    kill(Program),
                    {error, printed_too_much(), lists:reverse(Objects)};
                {printed, Object, Read} ->
                    collect(Read, [Object | Objects], Deadline);
                {more, Read} ->
                    collect(Read, Objects, Deadline);
                {broken, Error} ->
                    kill(Program),
                    {error, Error, lists:reverse(Objects)};
                {exited, Code} ->
                    result(Code, lists:reverse(Objects))
            end
    after max(0, Deadline - erlang:monotonic_time(millisecond)) ->
            kill(Program),
            {error, not_in_time(), lists:reverse(Objects)}
    end.

-spec result(non_neg_integer(), [object()]) ->
          {ok, [object()]} | {error, rabbit_hot_backup_protocol:error(), [object()]}.
result(0, Objects) ->
    {ok, Objects};
result(Code, Objects) ->
    {Errors, Others} = lists:partition(
                         fun(#{<<"message_type">> := Type}) -> Type =:= <<"error">> end, Objects),
    case Errors of
        [Error | _] -> {error, error_of(Error), Others};
        [] -> {error, exited(Code), Others}
    end.

-spec print([iodata()], Milliseconds :: pos_integer()) ->
          {ok, Text :: binary()} | {error, rabbit_hot_backup_protocol:error()}.
%% Runs it to its end without `--json` and returns what it printed: for what is a document.
print(Arguments, Milliseconds) ->
    case start_for_bytes(Arguments) of
        {ok, Program} ->
            collect_text(Program, [], 0, erlang:monotonic_time(millisecond) + Milliseconds);
        {error, Error} ->
            {error, Error}
    end.

-spec collect_text(program(), iodata(), non_neg_integer(), Deadline :: integer()) ->
          {ok, binary()} | {error, rabbit_hot_backup_protocol:error()}.
collect_text(Program, _, Read, _) when Read > ?LONGEST_LINE ->
    kill(Program),
    {error, printed_too_much()};
collect_text(Program, Text, Read, Deadline) ->
    case receive_bytes(Program, max(0, Deadline - erlang:monotonic_time(millisecond))) of
        {bytes, Bytes} ->
            collect_text(Program, [Text, Bytes], Read + byte_size(Bytes), Deadline);
        {exited, 0} ->
            {ok, iolist_to_binary(Text)};
        {exited, Code} ->
            %% Its own words are in the output of the broker's service.
            {error, (exited(Code))#{code := error_code(Code)}};
        timeout ->
            kill(Program),
            {error, not_in_time()}
    end.

-spec exited(Code :: non_neg_integer()) -> rabbit_hot_backup_protocol:error().
%% Why it ended, when it did not say so itself.
exited(Code) ->
    rabbit_hot_backup_carrier:exited(rabbit_hot_backup_settings:executable(), Code).

-spec start([iodata()]) -> {ok, program()} | {error, rabbit_hot_backup_protocol:error()}.
start(Arguments) ->
    open(Arguments ++ ["--json"], {line, ?LINE_PIECE}).

-spec start_for_bytes([iodata()]) ->
          {ok, program()} | {error, rabbit_hot_backup_protocol:error()}.
%% One whose output is no lines, read with receive_bytes/2.
start_for_bytes(Arguments) ->
    open(Arguments, stream).

-spec open([iodata()], stream | {line, pos_integer()}) ->
          {ok, program()} | {error, rabbit_hot_backup_protocol:error()}.
open(Arguments, How) ->
    Executable = rabbit_hot_backup_settings:executable(),
    Settings = [{args, [unicode:characters_to_binary(Argument) || Argument <- Arguments]},
                How, binary, exit_status, use_stdio, hide, {cd, "/"},
                {env, [{"RABBITMQ_ERLANG_COOKIE", atom_to_list(erlang:get_cookie())}]}],
    try open_port({spawn_executable, Executable}, Settings) of
        Port -> watched(Port, rabbit_hot_backup_os_process:of_port(Port))
    catch
        error:Reason -> {error, rabbit_hot_backup_carrier:cannot_start(Executable, Reason)}
    end.

-spec watched(port(), rabbit_hot_backup_os_process:os_process()) ->
          {ok, program()} | {error, rabbit_hot_backup_protocol:error()}.
watched(Port, Process) ->
    case rabbit_hot_backup_programs:watch(Process) of
        {ok, Watch} ->
            {ok, #program{port = Port, watch = Watch, process = Process}};
        stopping ->
            end_at_once(Port, Process),
            {error, rabbit_hot_backup_protocol:error(cancelled, "the plugin is being stopped")}
    end.

-spec end_at_once(port(), rabbit_hot_backup_os_process:os_process()) -> ok.
end_at_once(Port, Process) ->
    rabbit_hot_backup_os_process:kill(Process),
    _ = rabbit_hot_backup_os_process:wait(Process, ?DEATH),
    rabbit_hot_backup_os_process:close_port(Port).

-spec received(term(), program()) ->
          {printed, object(), program()} | {more, program()}
        | {broken, rabbit_hot_backup_protocol:error()}
        | {exited, Code :: non_neg_integer()}
        | ignored.
%% What an Erlang message means that came to the program's owner. The exit code comes last.
received({Port, {data, {_, Piece}}}, #program{port = Port, length = Length})
  when Length + byte_size(Piece) > ?LONGEST_LINE ->
    {broken, printed_too_much()};
received({Port, {data, {noeol, Piece}}},
         #program{port = Port, line = Line, length = Length} = Program) ->
    {more, Program#program{line = [Line, Piece], length = Length + byte_size(Piece)}};
received({Port, {data, {eol, Piece}}},
         #program{port = Port, line = Line, length = Length, printed = Printed} = Program) ->
    Next = Program#program{line = [], length = 0},
    try rabbit_hot_backup_compat:decode_json(iolist_to_binary([Line, Piece])) of
        #{<<"message_type">> := <<"status">>} = Object ->
            {printed, Object, Next};
        #{<<"message_type">> := _} = Object ->
            {printed, Object, Next#program{printed = Printed + Length + byte_size(Piece)}};
        _ ->
            {broken, not_understood()}
    catch
        error:_ -> {broken, not_understood()}
    end;
received({Port, {exit_status, Code}}, #program{port = Port, watch = Watch}) ->
    ok = rabbit_hot_backup_programs:forget(Watch),
    {exited, Code};
received(_, _) ->
    ignored.

-spec ask(program()) -> ok.
%% One byte on its standard input, if it still runs.
ask(#program{port = Port}) ->
    try erlang:port_command(Port, <<1>>) of
        true -> ok
    catch
        error:badarg -> ok
    end.

-spec receive_bytes(program(), Milliseconds :: non_neg_integer()) ->
          {bytes, binary()} | {exited, Code :: non_neg_integer()} | timeout.
%% Waits for what it prints next. Only its owner may.
receive_bytes(#program{port = Port, watch = Watch}, Milliseconds) ->
    receive
        {Port, {data, Bytes}} ->
            {bytes, Bytes};
        {Port, {exit_status, Code}} ->
            ok = rabbit_hot_backup_programs:forget(Watch),
            {exited, Code}
    after Milliseconds -> timeout
    end.

-spec printed_too_much() -> rabbit_hot_backup_protocol:error().
printed_too_much() ->
    rabbit_hot_backup_protocol:error(
      failed, "the program printed more than ~b bytes", [?LONGEST_LINE]).

-spec not_in_time() -> rabbit_hot_backup_protocol:error().
not_in_time() ->
    rabbit_hot_backup_protocol:error(
      stalled, "the program did not answer in time", [],
      "See whether the disk of the repository works.").

-spec not_understood() -> rabbit_hot_backup_protocol:error().
not_understood() ->
    rabbit_hot_backup_protocol:error(
      mismatch, "the program printed what the plugin does not understand", [],
      "Install the program and the plugin of the same version.").

-spec error_of(object()) -> rabbit_hot_backup_protocol:error().
%% Of an object of the type `error`.
error_of(#{<<"exit_code">> := Code, <<"message">> := Message} = Object) ->
    #{code => error_code(Code), message => Message, hint => maps:get(<<"hint">>, Object, <<>>)}.

-spec error_code(non_neg_integer()) -> rabbit_hot_backup_protocol:error_code().
%% The exit codes of the program: docs/json.md.
error_code(2) -> usage;
error_code(3) -> damaged;
error_code(10) -> not_found;
error_code(11) -> locked;
error_code(13) -> protected;
error_code(130) -> cancelled;
error_code(_) -> failed.

-spec interrupt(program()) -> ok.
%% Asks it to clean up and leave.
interrupt(#program{process = Process}) ->
    rabbit_hot_backup_os_process:interrupt(Process).

-spec leave(program(), Milliseconds :: pos_integer()) -> ok.
%% Waits for its end, and kills it when that does not come.
leave(#program{process = Process} = Program, Milliseconds) ->
    _ = rabbit_hot_backup_os_process:wait(Process, Milliseconds),
    kill(Program).

-spec kill(program()) -> ok.
%% Ends it at once. No message of it comes any more.
kill(#program{port = Port, watch = Watch, process = Process}) ->
    ok = end_at_once(Port, Process),
    rabbit_hot_backup_programs:forget(Watch).

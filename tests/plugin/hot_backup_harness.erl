%% What the plugin's tests share: the plugin's processes and a Mnesia without a broker around them,
%% programs that play the engine, and waiting for what must become true.
-module(hot_backup_harness).

-export([main/1]).
-export([start_plugin/1, stop_plugin/1, set/1]).
-export([start_mnesia/0, stop_mnesia/1, checkpoints/0]).
-export([temp_dir/0, remove/1, program/2, frame/1, captures/1, ports/0, hello/0]).
-export([eventually/1, eventually/2, drained/0]).
-export([attach/0, session/1, expect/1, ask/2, ask/3]).
-export([stand_in/1, unload/1]).

%% Runs one suite and ends the VM: what ctest calls.
main([Suite]) ->
    %% OTP asks a program for names and keeps it. So it does not look like one of a test's.
    _ = inet:gethostbyname("localhost"),
    halt(case eunit:test(list_to_atom(Suite), [verbose]) of
             ok -> 0;
             error -> 1
         end).

%% ------------------------------------------------------------------
%% The plugin

%% Starts the plugin's processes as the application would. The settings are those of the
%% application's environment; without `executable` no program is started.
start_plugin(Settings) ->
    case application:load(rabbitmq_hot_backup) of
        ok -> ok;
        {error, {already_loaded, _}} -> ok
    end,
    Defaults = #{port => maps:is_key(executable, Settings), stall_timeout => 60000,
                 repository => "/nowhere"},
    set(maps:merge(Defaults, Settings)),
    {ok, Supervisor} = rabbit_hot_backup_sup:start_link(),
    unlink(Supervisor),
    Supervisor.

set(Settings) ->
    _ = [application:set_env(rabbitmq_hot_backup, Key, Value)
         || {Key, Value} <- maps:to_list(Settings)],
    ok.

stop_plugin(Supervisor) ->
    Monitor = monitor(process, Supervisor),
    exit(Supervisor, shutdown),
    receive {'DOWN', Monitor, _, _, _} -> ok
    after 60000 -> error(the_plugin_does_not_stop) end.

%% ------------------------------------------------------------------
%% Mnesia

start_mnesia() ->
    Directory = temp_dir(),
    application:set_env(mnesia, dir, Directory),
    application:set_env(mnesia, dump_log_write_threshold, 50000),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    Directory.

stop_mnesia(Directory) ->
    stopped = mnesia:stop(),
    remove(Directory).

checkpoints() ->
    mnesia:system_info(checkpoints).

%% ------------------------------------------------------------------
%% Files and programs

%% Without that of the program that OTP asks for names.
ports() ->
    [Port || Port <- erlang:ports(), not is_resolver(erlang:port_info(Port, name))].

%% OTP's program that looks names up, with its whole path from OTP 25 on.
is_resolver({name, Name}) -> string:find(Name, "inet_gethost") =/= nomatch;
is_resolver(_) -> false.

temp_dir() ->
    Parent = os:getenv("TMPDIR", "/tmp"),
    Random = integer_to_list(binary:decode_unsigned(crypto:strong_rand_bytes(8)), 36),
    Directory = filename:join(Parent, "hot-backup-test-" ++ Random),
    ok = file:make_dir(Directory),
    Directory.

remove(Directory) ->
    ok = file:del_dir_r(Directory).

%% A program for the plugin to start: a shell script that can say `hello` as an engine does, and
%% wait for the answer.
program(Directory, Script) ->
    Hello = filename:join(Directory, "hello"),
    ok = file:write_file(Hello, frame(hello())),
    Path = filename:join(Directory, "program"),
    ok = file:write_file(Path, ["#!/bin/sh\nhello() { cat ", Hello, "; head -c 1 > /dev/null; }\n",
                               Script, "\n"]),
    ok = file:change_mode(Path, 8#700),
    Path.

%% A message as it goes through a pipe.
frame(Message) ->
    Bytes = term_to_binary(Message, [{minor_version, 2}]),
    <<(byte_size(Bytes)):32, Bytes/binary>>.

%% The words of a program that captures whenever the node stands still, until its input ends. The
%% number of the stop is one byte of what comes and of what it says.
captures(Directory) ->
    [Stopped, Captured] =
        [around_number([frame({notice, What, Details#{stop => Number}}) || Number <- [1, 2]])
         || {What, Details} <- [{stopped, #{}}, {captured, #{outcome => ok}}]],
    {Before, After} = Stopped,
    [Head, Tail] = [begin
                        Path = filename:join(Directory, Name),
                        ok = file:write_file(Path, Bytes),
                        Path
                    end || {Name, Bytes} <- lists:zip(["head", "tail"], tuple_to_list(Captured))],
    ["while ", skip(Before), "number=$(head -c 1 | od -An -to1); [ -n \"$number\" ]; do cat ", Head,
     "; printf \"\\\\${number# }\"; ", skip(After), "cat ", Tail, "; done 2> /dev/null"].

around_number([One, _] = Frames) ->
    Length = binary:longest_common_prefix(Frames),
    <<Before:Length/binary, 1, After/binary>> = One,
    {Before, After}.

skip(<<>>) -> [];
skip(Bytes) -> ["head -c ", integer_to_list(byte_size(Bytes)), " > /dev/null; "].

hello() ->
    {hello, [1], #{program => <<"rabbitmq-hot-backup">>, version => <<"0.0.0">>, os_pid => 1}}.

%% ------------------------------------------------------------------
%% Waiting

eventually(Condition) ->
    eventually(Condition, 10000).

%% Waits until a condition holds; fails with what it was at the end.
eventually(Condition, Milliseconds) ->
    eventually_until(Condition, erlang:monotonic_time(millisecond) + Milliseconds).

eventually_until(Condition, Deadline) ->
    case Condition() of
        true -> ok;
        Other ->
            case erlang:monotonic_time(millisecond) > Deadline of
                true -> error({never, Other});
                false -> receive after 10 -> eventually_until(Condition, Deadline) end
            end
    end.

%% Whether no checkpoint is left and nothing reads one any more.
drained() ->
    case checkpoints() of
        [] -> [] =:= [Pid || Pid <- processes(),
                             {current_function, {Module, _, _}}
                                 <- [process_info(Pid, current_function)],
                             Module =:= mnesia_log orelse Module =:= rabbit_hot_backup_metadata];
        Others -> Others
    end.

%% ------------------------------------------------------------------
%% The test process as an engine, over the distribution's carrier

%% Opens a session and says hello. Returns the process to talk to: the session's holder, which ends
%% as the session does.
attach() ->
    {ok, Holder} = rabbit_hot_backup_session:attach(self()),
    Holder ! hello(),
    {hello, [1], _} = expect(hello),
    Holder.

%% The session behind a holder.
session(Holder) ->
    {links, [Session]} = process_info(Holder, links),
    Session.

%% The next message with this tag; what comes before it stays in the mailbox.
expect(Tag) ->
    receive
        Message when element(1, Message) =:= Tag -> Message
    after 10000 ->
            error({expected, Tag, process_info(self(), messages)})
    end.

ask(Session, Operation) ->
    ask(Session, Operation, #{}).

ask(Session, Operation, Arguments) ->
    Id = erlang:unique_integer([positive]),
    Session ! {request, Id, 10000, Operation, Arguments},
    receive
        {reply, Id, Outcome, Result} -> {Outcome, Result}
    after 10000 ->
            error({unanswered, Operation})
    end.

%% ------------------------------------------------------------------
%% Modules of RabbitMQ's

%% Loads modules that stand in for RabbitMQ's, given by the sources of their functions. They know
%% this process as `test`.
stand_in(Modules) ->
    true = register(test, self()),
    [begin
         Forms = [begin
                      {ok, Tokens, _} = erl_scan:string(Function),
                      {ok, Form} = erl_parse:parse_form(Tokens),
                      Form
                  end || Function <- Functions],
         {ok, Module, Code} = compile:forms([{attribute, 1, module, Module} | Forms],
                                            [export_all, nowarn_export_all]),
         {module, Module} = code:load_binary(Module, "none", Code),
         Module
     end || {Module, Functions} <- Modules].

unload(Modules) ->
    true = unregister(test),
    [begin
         _ = code:purge(Module),
         true = code:delete(Module),
         code:purge(Module)
     end || Module <- Modules].

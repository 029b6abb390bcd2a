%% Programs that misbehave in every way: none of them may harm the plugin, and each leaves a clear
%% status, no process of the operating system and no port.
-module(rabbit_hot_backup_port_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [program/2, eventually/1, eventually/2]).

programs_test_() ->
    {foreach,
     fun hot_backup_harness:temp_dir/0,
     fun hot_backup_harness:remove/1,
     [fun(Directory) -> {Name, {timeout, 60, fun() -> Test(Directory) end}} end
      || {Name, Test} <- [{"a program that is well", fun well/1},
                          {"no program", fun missing/1},
                          {"not executable", fun not_executable/1},
                          {"switched off", fun switched_off/1},
                          {"dies at once", fun dies_at_once/1},
                          {"dies by a signal", fun dies_by_a_signal/1},
                          {"prints text", fun prints_text/1},
                          {"sends no message of ours", fun sends_garbage/1},
                          {"another version", fun other_version/1},
                          {"floods", fun floods/1},
                          {"asks and does not read", fun does_not_read/1},
                          {"never says hello", fun silent/1},
                          {"stopped by a signal", fun stopped/1},
                          {"does not leave", fun does_not_leave/1},
                          {"comes back", fun comes_back/1},
                          {"pauses get longer", fun pauses_get_longer/1},
                          {"tried at once when asked", fun tried_when_asked/1},
                          {"dies during a job", fun dies_during_a_job/1},
                          {"refuses a backup", fun refuses_a_backup/1}]]}.

well(Directory) ->
    with_program(Directory, "hello; exec cat > /dev/null", fun(_) ->
        eventually(fun() -> state() =:= up end),
        #{program := #{version := <<"0.0.0">>}, failures := 0, session := Session} = Status =
            rabbit_hot_backup_port:status(),
        ?assertNot(maps:is_key(error, Status)),
        ?assertEqual({ok, Session}, rabbit_hot_backup_port:session())
    end).

missing(Directory) ->
    with_executable(filename:join(Directory, "none"), fun(_) ->
        #{message := Message, hint := <<_, _/binary>>} = failure(),
        ?assertMatch({match, _}, re:run(Message, "none does not exist$"))
    end).

not_executable(Directory) ->
    Program = program(Directory, "hello"),
    ok = file:change_mode(Program, 8#600),
    with_executable(Program, fun(_) ->
        #{message := Message} = failure(),
        ?assertMatch({match, _}, re:run(Message, "cannot be executed: permission denied$"))
    end).

switched_off(Directory) ->
    Program = program(Directory, "hello; exec cat > /dev/null"),
    with_settings(#{executable => Program, port => false}, fun(_) ->
        ?assertMatch(#{state := disabled}, rabbit_hot_backup_port:status()),
        ?assertMatch({error, #{code := failed}}, rabbit_hot_backup:start_backup(#{}))
    end).

dies_at_once(Directory) ->
    with_program(Directory, "exit 3", fun(_) ->
        ?assertMatch({match, _}, re:run(message(), "program ended with exit code 3$"))
    end).

dies_by_a_signal(Directory) ->
    with_program(Directory, "kill -SEGV $$", fun(_) ->
        ?assertMatch({match, _}, re:run(message(), "program was ended by signal 11$"))
    end).

prints_text(Directory) ->
    with_program(Directory, "echo Hello, world; exec sleep 1000", fun(_) ->
        ?assertMatch({match, _},
                     re:run(message(), "^the program sent bytes that are not a message"))
    end).

sends_garbage(Directory) ->
    with_program(Directory, "printf '\\000\\000\\000\\004\\203h\\001j'; exec sleep 1000", fun(_) ->
        ?assertMatch({match, _}, re:run(message(), "that the protocol does not have"))
    end).

other_version(Directory) ->
    Hello = frame({hello, [99], #{program => <<"rabbitmq-hot-backup">>}}),
    ok = file:write_file(filename:join(Directory, "other"), Hello),
    with_program(Directory, "cat " ++ filename:join(Directory, "other") ++ "; exec sleep 1000",
                 fun(_) ->
        ?assertEqual(#{code => mismatch,
                       message => <<"the program speaks the protocol versions [99], "
                                    "the plugin [1]">>,
                       hint => <<"Upgrade the plugin rabbitmq_hot_backup.">>},
                     failure())
    end).

floods(Directory) ->
    Notice = frame({notice, progress, #{}}),
    ok = file:write_file(filename:join(Directory, "flood"), lists:duplicate(20000, Notice)),
    Script = ["hello; while cat ", filename:join(Directory, "flood"), "; do :; done"],
    with_program(Directory, Script, fun(_) ->
        eventually(fun() -> state() =:= up orelse state() =:= waiting end),
        %% Either it is thrown out, or it is read as fast as it writes: the broker's memory does
        %% not grow.
        Until = erlang:monotonic_time(millisecond) + 3000,
        watch_memory(Until)
    end).

watch_memory(Until) ->
    ?assert(erlang:memory(total) < 300 * 1024 * 1024),
    case erlang:monotonic_time(millisecond) < Until of
        true -> receive after 50 -> watch_memory(Until) end;
        false -> ok
    end.

does_not_read(Directory) ->
    %% Each request brings an answer; nobody reads the answers.
    Requests = [frame({request, N, 100000, job_begin, #{}}) || N <- lists:seq(1, 20000)],
    ok = file:write_file(filename:join(Directory, "requests"), Requests),
    Script = ["hello; while cat ", filename:join(Directory, "requests"), "; do :; done"],
    with_program(Directory, Script, fun(_) ->
        ?assertEqual(<<"the program asks and does not read the answers">>, message())
    end).

silent(Directory) ->
    with_program(Directory, "exec sleep 1000", fun(_) ->
        eventually(fun() -> state() =:= waiting end, 15000),
        ?assertEqual(<<"the program did not say hello within 10 s">>, message())
    end).

%% It says hello and stops: nothing it is sent is ever read, and SIGTERM would not end it.
stopped(Directory) ->
    with_program(Directory, "hello; kill -STOP $$", fun(_) ->
        eventually(fun() -> state() =:= up end),
        ?assertMatch(#{failures := 0}, rabbit_hot_backup_port:status())
        %% with_program/3 sees that stopping the plugin gets rid of it.
    end).

does_not_leave(Directory) ->
    with_program(Directory, "hello; exec sleep 1000", fun(_) ->
        eventually(fun() -> state() =:= up end)
    end).

comes_back(Directory) ->
    with_program(Directory, "hello; exec cat > /dev/null", fun(_) ->
        eventually(fun() -> state() =:= up end),
        %% The shell may still be about to say hello and to wait for the answer, with others' help.
        eventually(fun() -> is_cat(program_pids(Directory)) end),
        [Pid] = program_pids(Directory),
        "" = os:cmd("kill -KILL " ++ Pid),
        eventually(fun() -> maps:get(failures, rabbit_hot_backup_port:status()) =:= 1 end),
        eventually(fun() -> state() =:= up end),
        ?assertNotEqual([Pid], program_pids(Directory))
    end).

is_cat([Pid]) -> os:cmd("cat /proc/" ++ Pid ++ "/comm") =:= "cat\n";
is_cat(_) -> false.

pauses_get_longer(Directory) ->
    Log = filename:join(Directory, "starts"),
    with_program(Directory, ["date +%s%3N >> ", Log, "; exit 1"], fun(_) ->
        eventually(fun() -> length(lines(Log)) >= 4 end, 20000),
        [First, Second, Third, Fourth | _] = [binary_to_integer(Line) || Line <- lines(Log)],
        ?assert(Second - First >= 950),
        ?assert(Third - Second >= 1950),
        ?assert(Fourth - Third >= 3950)
    end).

tried_when_asked(Directory) ->
    Program = program(Directory, "hello; exec cat > /dev/null"),
    ok = file:change_mode(Program, 8#600),
    with_executable(Program, fun(_) ->
        eventually(fun() -> maps:get(failures, rabbit_hot_backup_port:status()) >= 2 end),
        ?assertMatch({error, #{code := failed}}, rabbit_hot_backup:start_backup(#{})),
        ok = file:change_mode(Program, 8#700),
        ?assertMatch({ok, _}, rabbit_hot_backup_port:session())
    end).

dies_during_a_job(Directory) ->
    Begin = frame({request, 1, 10000, job_begin, #{kind => backup, repository => <<"/r">>}}),
    ok = file:write_file(filename:join(Directory, "begin"), Begin),
    Go = filename:join(Directory, "go"),
    Script = ["hello; cat ", filename:join(Directory, "begin"), "; until [ -e ", Go,
              " ]; do sleep 0.05; done; exit 7"],
    with_program(Directory, Script, fun(_) ->
        eventually(fun() -> is_map(rabbit_hot_backup_jobs:current()) end),
        ?assertMatch({error, #{code := busy}}, rabbit_hot_backup:start_backup(#{})),
        ok = file:write_file(Go, <<>>),
        eventually(fun() -> rabbit_hot_backup:history() =/= [] end),
        [#{state := failed, error := #{message := Message}}] = rabbit_hot_backup:history(),
        ?assertMatch({match, _}, re:run(Message, "exit code 7$"))
    end).

refuses_a_backup(Directory) ->
    Refusal = frame({reply, 1, error, #{code => failed, message => <<"no room">>, hint => <<>>}}),
    ok = file:write_file(filename:join(Directory, "refusal"), Refusal),
    Go = filename:join(Directory, "go"),
    Script = ["hello; until [ -e ", Go, " ]; do sleep 0.05; done; cat ",
              filename:join(Directory, "refusal"), "; exec cat > /dev/null"],
    spawn_link(fun() ->
                       eventually(fun() -> whereis(rabbit_hot_backup_jobs) =/= undefined end),
                       eventually(fun() -> rabbit_hot_backup_jobs:current() =/= none end),
                       ok = file:write_file(Go, <<>>)
               end),
    with_program(Directory, Script, fun(_) ->
        ?assertMatch({error, #{message := <<"no room">>}},
                     rabbit_hot_backup:start_backup(#{repository => "/elsewhere"})),
        ?assertMatch([#{state := failed, repository := <<"/elsewhere">>}],
                     rabbit_hot_backup:history()),
        ?assertEqual(none, rabbit_hot_backup_jobs:current())
    end).

%% ------------------------------------------------------------------

with_program(Directory, Script, Test) ->
    Program = program(Directory, Script),
    true = os:putenv("HOT_BACKUP_TEST_DIRECTORY", Directory),
    with_executable(Program, fun(Supervisor) -> Test(Supervisor) end),
    eventually(fun() -> program_pids(Directory) =:= [] end).

with_executable(Executable, Test) ->
    with_settings(#{executable => Executable}, Test).

%% Runs the plugin. Whatever its program did, no process of the plugin was restarted, and in the
%% end no port is left.
with_settings(Settings, Test) ->
    Ports = erlang:ports(),
    Supervisor = hot_backup_harness:start_plugin(Settings),
    Children = supervisor:which_children(Supervisor),
    try
        Test(Supervisor),
        ?assertEqual(Children, supervisor:which_children(Supervisor))
    after
        hot_backup_harness:stop_plugin(Supervisor)
    end,
    ?assertEqual([], erlang:ports() -- Ports),
    ?assertEqual([], [Name || Name <- registered(),
                              lists:prefix("rabbit_hot_backup", atom_to_list(Name))]).

state() ->
    maps:get(state, rabbit_hot_backup_port:status()).

failure() ->
    eventually(fun() -> maps:is_key(error, rabbit_hot_backup_port:status()) end, 20000),
    maps:get(error, rabbit_hot_backup_port:status()).

message() ->
    maps:get(message, failure()).

%% The program of a directory, and what it has started: they have the directory in their
%% environment.
program_pids(Directory) ->
    {ok, Names} = file:list_dir("/proc"),
    [Pid || Pid <- Names, is_program(Pid, unicode:characters_to_binary(Directory))].

is_program(Pid, Directory) ->
    case file:read_file("/proc/" ++ Pid ++ "/environ") of
        {ok, Environment} ->
            binary:match(Environment, <<"HOT_BACKUP_TEST_DIRECTORY=", Directory/binary, 0>>)
                =/= nomatch;
        {error, _} -> false
    end.

lines(File) ->
    case file:read_file(File) of
        {ok, Content} -> binary:split(Content, <<"\n">>, [global, trim]);
        {error, enoent} -> []
    end.

frame(Message) ->
    Bytes = term_to_binary(Message, [{minor_version, 2}]),
    iolist_to_binary([<<(byte_size(Bytes)):32>>, Bytes]).

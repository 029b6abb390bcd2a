%% Hooks that do what they should, and hooks that do not.
-module(rabbit_hot_backup_hook_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [eventually/1]).

hook_test_() ->
    {foreach, fun hot_backup_harness:temp_dir/0, fun hot_backup_harness:remove/1,
     [fun(Directory) -> {Name, {timeout, 60, {spawn, fun() -> run(Test, Directory) end}}} end
      || {Name, Test} <- [{"what it is told", fun told/1},
                          {"an exit code", fun fails/1},
                          {"killed by a signal", fun killed/1},
                          {"not there", fun missing/1},
                          {"no time left, with children", fun hangs/1},
                          {"deaf to SIGTERM", fun deaf/1},
                          {"endless output", fun floods/1},
                          {"output that is no text", fun prints_bytes/1},
                          {"leaves a process behind", fun leaves_a_process/1},
                          {"the plugin stops", fun plugin_stops/1}]]}.

%% Whatever it did, nothing is left of it in the VM.
run(Test, Directory) ->
    process_flag(trap_exit, true),
    Ports = erlang:ports(),
    Test(Directory),
    ?assertEqual([], erlang:ports() -- Ports),
    receive Message -> error({left, Message}) after 0 -> ok end.

told(Directory) ->
    Environment = [{"HOT_BACKUP_ID", <<"20260102T030405.006Z">>}, {"HOT_BACKUP_ERROR", ["a", " b"]}],
    ok = rabbit_hot_backup_hook:run(
           hook(Directory, "pwd > $0.out; echo \"$HOT_BACKUP_ID:$HOT_BACKUP_ERROR\" >> $0.out"),
           Environment, 10000),
    ?assertEqual({ok, <<"/\n20260102T030405.006Z:a b\n">>},
                 file:read_file(filename:join(Directory, "hook.out"))).

fails(Directory) ->
    Hook = hook(Directory, "echo no; exit 3"),
    {error, #{code := failed, message := Message, hint := <<_, _/binary>>}} = run_hook(Hook, 10000),
    ?assertEqual(<<"the hook ", Hook/binary, " ended with exit code 3">>, Message).

killed(Directory) ->
    {error, #{message := Message}} = run_hook(hook(Directory, "kill -9 $$"), 10000),
    ?assertMatch({match, _}, re:run(Message, "was ended by signal 9$")).

missing(Directory) ->
    {error, #{message := Message}} =
        run_hook(unicode:characters_to_binary(filename:join(Directory, "none")), 10000),
    ?assertMatch({match, _}, re:run(Message, "cannot be executed: no such file or directory$")).

hangs(Directory) ->
    Begin = erlang:monotonic_time(millisecond),
    {error, #{message := Message}} =
        run_hook(hook(Directory, "sleep 1000 & echo $! > $0.child; wait"), 1000),
    ?assertMatch({match, _}, re:run(Message, "did not end within 1 s and was killed$")),
    ?assert(erlang:monotonic_time(millisecond) - Begin < 5000),
    eventually(fun() -> not is_running(child(Directory)) end).

deaf(Directory) ->
    {error, _} = run_hook(hook(Directory, "trap '' TERM; sh -c 'trap \"\" TERM; sleep 1000' & "
                               "echo $! > $0.child; while :; do wait; done"), 1000),
    eventually(fun() -> not is_running(child(Directory)) end).

floods(Directory) ->
    Before = erlang:memory(total),
    {error, _} = run_hook(hook(Directory, "exec cat /dev/zero"), 1000),
    erlang:garbage_collect(),
    ?assert(erlang:memory(total) < Before + 50 * 1024 * 1024).

prints_bytes(Directory) ->
    ?assertEqual(ok, run_hook(hook(Directory, "printf '\\377\\376 a\\033[31m\\n'"), 10000)).

%% What it means to leave running is its own affair.
leaves_a_process(Directory) ->
    ok = run_hook(hook(Directory, "sleep 1000 > /dev/null 2>&1 & echo $! > $0.child"), 10000),
    Child = child(Directory),
    ?assert(is_running(Child)),
    _ = os:cmd("kill " ++ Child),
    eventually(fun() -> not is_running(Child) end).

plugin_stops(Directory) ->
    Hook = hook(Directory, "sleep 1000 & echo $! > $0.child; wait"),
    {Pid, Monitor} = spawn_monitor(fun() ->
                                           process_flag(trap_exit, true),
                                           run_hook(Hook, 100000)
                                   end),
    eventually(fun() -> filelib:file_size(filename:join(Directory, "hook.child")) > 1 end),
    exit(Pid, shutdown),
    receive {'DOWN', Monitor, _, _, Reason} -> ?assertEqual(shutdown, Reason) end,
    eventually(fun() -> not is_running(child(Directory)) end).

%% ------------------------------------------------------------------

run_hook(Hook, Milliseconds) ->
    rabbit_hot_backup_hook:run(Hook, [], Milliseconds).

hook(Directory, Script) ->
    Path = filename:join(Directory, "hook"),
    ok = file:write_file(Path, ["#!/bin/sh\n", Script, "\n"]),
    ok = file:change_mode(Path, 8#700),
    unicode:characters_to_binary(Path).

child(Directory) ->
    {ok, Pid} = file:read_file(filename:join(Directory, "hook.child")),
    binary_to_list(string:trim(Pid)).

is_running(Pid) ->
    case file:read_file("/proc/" ++ Pid ++ "/stat") of
        {ok, Line} -> re:run(Line, "\\) Z ") =:= nomatch;
        {error, _} -> false
    end.

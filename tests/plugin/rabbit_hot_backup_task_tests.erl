%% Programs that are run once: what they print, and that nothing they do is the broker's harm.
-module(rabbit_hot_backup_task_tests).

-include_lib("eunit/include/eunit.hrl").

-import(hot_backup_harness, [eventually/1]).

-define(ACTOR, #{user => <<"admin">>, address => <<"127.0.0.1">>}).

program_test_() ->
    {foreach,
     fun() ->
             {ok, Programs} = rabbit_hot_backup_programs:start_link(),
             unlink(Programs),
             {hot_backup_harness:temp_dir(), Programs}
     end,
     fun({Directory, Programs}) ->
             gen_server:stop(Programs),
             hot_backup_harness:remove(Directory)
     end,
     [with(fun what_is_printed_is_returned/1),
      with(fun an_error_that_is_printed_is_returned/1),
      with(fun an_end_without_a_word_is_an_error/1),
      with(fun what_is_no_json_is_an_error/1),
      with(fun endless_output_ends_the_program/1),
      with(fun a_program_that_hangs_is_killed/1),
      with(fun a_missing_program_is_an_error/1),
      with(fun a_long_line_comes_whole/1),
      with(fun the_list_is_kept_until_the_repository_changes/1),
      with(fun names_that_are_options_are_no_backups/1),
      with(fun a_program_ends_with_its_owner/1),
      with(fun all_programs_are_ended_at_once/1)]}.

turnstile_test_() ->
    {foreach,
     fun() ->
             {ok, Turnstile} = rabbit_hot_backup_turnstile:start_link(),
             unlink(Turnstile),
             Turnstile
     end,
     fun gen_server:stop/1,
     [{timeout, 60, {spawn, Test}} || Test <- [fun one_at_a_time/0,
                                               fun a_place_is_free_when_its_owner_has_died/0,
                                               fun too_many_are_refused/0]]}.

task_test_() ->
    {foreach,
     fun() ->
             Directory = hot_backup_harness:temp_dir(),
             {Directory, hot_backup_harness:start_plugin(#{port => false, executable => "",
                                                           repository => Directory})}
     end,
     fun({Directory, Plugin}) ->
             hot_backup_harness:stop_plugin(Plugin),
             hot_backup_harness:remove(Directory)
     end,
     [in_plugin(fun a_task_from_begin_to_end/1),
      in_plugin(fun a_task_that_finds_damage_has_failed/1),
      in_plugin(fun findings_are_bounded/1),
      in_plugin(fun a_second_check_is_refused/1),
      in_plugin(fun a_cancelled_program_may_clean_up/1),
      in_plugin(fun a_program_that_is_killed_has_failed/1),
      in_plugin(fun tasks_end_with_the_plugin/1)]}.

with(Test) ->
    fun({Directory, _}) -> {timeout, 60, {spawn, fun() -> Test(Directory) end}} end.

in_plugin(Test) ->
    fun({Directory, _}) -> fun() -> Test(Directory) end end.

%% ------------------------------------------------------------------

what_is_printed_is_returned(Directory) ->
    use(Directory, "echo '{\"message_type\":\"status\",\"phase\":\"x\",\"bytes_done\":1}'; "
        "echo \"{\\\"message_type\\\":\\\"summary\\\",\\\"arguments\\\":\\\"$*\\\"}\""),
    {ok, [#{<<"message_type">> := <<"summary">>, <<"arguments">> := Arguments}]} =
        rabbit_hot_backup_program:run(["list", ["a ", "b"], [233]], 10000),
    ?assertEqual(unicode:characters_to_binary(["list a b ", 233, " --json"]), Arguments).

an_error_that_is_printed_is_returned(Directory) ->
    use(Directory, "echo '{\"message_type\":\"summary\",\"n\":1}'; "
        "echo '{\"message_type\":\"error\",\"exit_code\":10,\"message\":\"none\",\"hint\":\"Look.\"}'; "
        "exit 10"),
    Error = #{code => not_found, message => <<"none">>, hint => <<"Look.">>},
    ?assertEqual({error, Error}, rabbit_hot_backup_program:run(["list"], 10000)),
    ?assertEqual({error, Error, [#{<<"message_type">> => <<"summary">>, <<"n">> => 1}]},
                 rabbit_hot_backup_program:run_all(["list"], 10000)).

an_end_without_a_word_is_an_error(Directory) ->
    use(Directory, "exit 7"),
    {error, #{code := failed, message := Message}} = rabbit_hot_backup_program:run(["list"], 10000),
    ?assertMatch({match, _}, re:run(Message, "ended with exit code 7$")).

what_is_no_json_is_an_error(Directory) ->
    use(Directory, "echo 'Segmentation fault'; exec sleep 100"),
    ?assertMatch({error, #{code := mismatch}}, rabbit_hot_backup_program:run(["list"], 10000)).

endless_output_ends_the_program(Directory) ->
    use(Directory, "cat /dev/zero"),
    Before = erlang:memory(total),
    ?assertMatch({error, #{code := failed}}, rabbit_hot_backup_program:run(["list"], 60000)),
    erlang:garbage_collect(),
    ?assert(erlang:memory(total) < Before + 300 * 1024 * 1024).

a_program_that_hangs_is_killed(Directory) ->
    use(Directory, ["echo $$ > ", Directory, "/pid; exec sleep 100"]),
    ?assertMatch({error, #{code := stalled}}, rabbit_hot_backup_program:run(["list"], 300)),
    ?assertNot(runs(Directory)),
    ?assertEqual(none, receive Any -> Any after 0 -> none end).

a_missing_program_is_an_error(Directory) ->
    hot_backup_harness:set(#{executable => filename:join(Directory, "nothing")}),
    ?assertMatch({error, #{code := failed}}, rabbit_hot_backup_program:run(["list"], 10000)).

a_long_line_comes_whole(Directory) ->
    use(Directory, "printf '{\"message_type\":\"summary\",\"text\":\"'; "
        "head -c 1000000 /dev/zero | tr '\\0' x; echo '\"}'"),
    {ok, [#{<<"text">> := Text}]} = rabbit_hot_backup_program:run(["show"], 10000),
    ?assertEqual(1000000, byte_size(Text)).

the_list_is_kept_until_the_repository_changes(Directory) ->
    use(Directory, ["echo >> ", Directory, "/runs; echo '{\"message_type\":\"summary\"}'"]),
    Manifests = filename:join(Directory, "manifests"),
    ok = file:make_dir(Manifests),
    {ok, Catalogue} = rabbit_hot_backup_catalogue:start_link(),
    Listing = {[#{<<"message_type">> => <<"summary">>}], undefined},
    ok = file:change_time(Manifests, {{2026, 1, 1}, {0, 0, 0}}),
    [?assertEqual(Listing, rabbit_hot_backup_catalogue:list()) || _ <- lists:seq(1, 3)],
    ?assertEqual(1, runs_of(Directory)),
    ok = file:change_time(Manifests, {{2026, 1, 1}, {0, 0, 1}}),
    Listing = rabbit_hot_backup_catalogue:list(),
    ?assertEqual(2, runs_of(Directory)),
    %% Just changed: what the list says may be of before the change.
    ok = file:write_file(filename:join(Manifests, "new"), <<>>),
    [Listing = rabbit_hot_backup_catalogue:list() || _ <- lists:seq(1, 2)],
    ?assert(runs_of(Directory) >= 3),
    gen_server:stop(Catalogue).

names_that_are_options_are_no_backups(Directory) ->
    use(Directory, ["echo >> ", Directory, "/runs"]),
    [begin
         ?assertMatch({error, #{code := not_found}}, rabbit_hot_backup_catalogue:show(Name)),
         ?assertMatch({error, #{code := not_found}}, rabbit_hot_backup_catalogue:delete(Name)),
         ?assertMatch({error, #{code := not_found}}, rabbit_hot_backup:plan_restore(Name, #{})),
         ?assertMatch({error, #{code := not_found}},
                      rabbit_hot_backup:start_verification(Name, ?ACTOR))
     end || Name <- [<<"--repository=/etc">>, <<"-h">>, <<>>, <<"a b">>, <<"a\n">>, <<"../x">>]],
    ?assertEqual(0, runs_of(Directory)).

a_program_ends_with_its_owner(Directory) ->
    use(Directory, ["echo $$ > ", Directory, "/pid.new; mv ", Directory, "/pid.new ", Directory,
                    "/pid; exec sleep 100"]),
    {Owner, Monitor} = spawn_monitor(fun() -> rabbit_hot_backup_program:run(["prune"], 60000) end),
    eventually(fun() -> filelib:is_file(filename:join(Directory, "pid")) end),
    exit(Owner, kill),
    receive {'DOWN', Monitor, _, _, _} -> ok end,
    eventually(fun() -> not runs(Directory) end).

%% One after the other they would take twice as long.
all_programs_are_ended_at_once(Directory) ->
    use(Directory, ["trap '' TERM; touch ", Directory, "/$2; while :; do sleep 0.05; done"]),
    Owners = [spawn_monitor(fun() ->
                                    exit(rabbit_hot_backup_program:run(["prune", Name], 60000))
                            end) || Name <- ["a", "b", "c"]],
    eventually(fun() ->
                       lists:all(fun(Name) -> filelib:is_file(filename:join(Directory, Name)) end,
                                 ["a", "b", "c"])
               end),
    {Microseconds, ok} = timer:tc(fun rabbit_hot_backup_programs:end_all/0),
    ?assert(Microseconds < 7000000),
    [receive {'DOWN', Monitor, _, _, {error, _}} -> ok end || {_, Monitor} <- Owners],
    ?assertMatch({error, #{code := cancelled}}, rabbit_hot_backup_program:run(["list"], 10000)).

%% ------------------------------------------------------------------

one_at_a_time() ->
    Test = self(),
    Look = fun() -> rabbit_hot_backup_turnstile:pass(
                      fun() -> Test ! {inside, self()}, receive leave -> seen end end) end,
    Lookers = [spawn_monitor(fun() -> exit(Look()) end) || _ <- lists:seq(1, 3)],
    lists:foreach(fun(_) ->
                          Pid = receive {inside, Inside} -> Inside end,
                          ?assertEqual(none, receive {inside, Other} -> Other after 50 -> none end),
                          Pid ! leave,
                          receive {'DOWN', _, _, Pid, seen} -> ok end
                  end, Lookers).

a_place_is_free_when_its_owner_has_died() ->
    Test = self(),
    Looker = spawn(fun() -> rabbit_hot_backup_turnstile:pass(
                              fun() -> Test ! inside, receive never -> ok end end) end),
    receive inside -> ok end,
    exit(Looker, kill),
    ?assertEqual(seen, rabbit_hot_backup_turnstile:pass(fun() -> seen end)).

too_many_are_refused() ->
    Test = self(),
    Looker = fun() -> rabbit_hot_backup_turnstile:pass(
                        fun() -> Test ! inside, receive never -> ok end end) end,
    spawn_link(Looker),
    receive inside -> ok end,
    [spawn_link(Looker) || _ <- lists:seq(1, 32)],
    eventually(fun() ->
                       {state, _, Waiting} = sys:get_state(rabbit_hot_backup_turnstile),
                       queue:len(Waiting) =:= 32
               end),
    ?assertMatch({error, #{code := stalled}}, rabbit_hot_backup_turnstile:pass(fun() -> seen end)).

%% ------------------------------------------------------------------

a_task_from_begin_to_end(Directory) ->
    use(Directory, ["echo '{\"message_type\":\"status\",\"phase\":\"verify B\",\"bytes_done\":5,"
                    "\"bytes_total\":9,\"seconds_remaining\":3}'; "
                    "while ! [ -e ", Directory, "/go ]; do sleep 0.01; done; "
                    "echo '{\"message_type\":\"summary\",\"whole\":true}'"]),
    {ok, Job} = rabbit_hot_backup:start_verification(<<"B">>, ?ACTOR),
    eventually(fun() ->
                       {ok, Running} = rabbit_hot_backup_jobs:find(Job),
                       maps:get(progress, Running, none) =:= {5, 9}
               end),
    ?assertMatch({ok, #{kind := verify, state := running, backup := <<"B">>, actor := #{user := <<"admin">>},
                        phase := <<"verify B">>, remaining := 3}},
                 rabbit_hot_backup_jobs:find(Job)),
    ok = file:write_file(filename:join(Directory, "go"), <<>>),
    ended(Job),
    ?assertMatch({ok, #{state := done, result := #{<<"whole">> := true}, findings := []}},
                 rabbit_hot_backup_jobs:find(Job)),
    ?assertEqual([], supervisor:which_children(rabbit_hot_backup_task_sup)).

a_task_that_finds_damage_has_failed(Directory) ->
    use(Directory, "echo '{\"message_type\":\"damage\",\"name\":\"f\"}'; "
        "echo '{\"message_type\":\"summary\",\"whole\":false}'; "
        "echo '{\"message_type\":\"error\",\"exit_code\":3,\"message\":\"bad\",\"hint\":\"\"}'; exit 3"),
    {ok, Job} = rabbit_hot_backup:start_verification(<<"B">>, ?ACTOR),
    ended(Job),
    ?assertMatch({ok, #{state := failed, error := #{code := damaged, message := <<"bad">>},
                        result := #{<<"whole">> := false},
                        findings := [#{<<"name">> := <<"f">>}]}},
                 rabbit_hot_backup_jobs:find(Job)).

findings_are_bounded(Directory) ->
    use(Directory, "for n in $(seq 1100); do echo \"{\\\"message_type\\\":\\\"damage\\\",\\\"n\\\":$n}\"; done"),
    {ok, Job} = rabbit_hot_backup:start_verification(<<"B">>, ?ACTOR),
    ended(Job),
    {ok, #{findings := Findings}} = rabbit_hot_backup_jobs:find(Job),
    ?assertEqual(lists:seq(1, 1000), [N || #{<<"n">> := N} <- Findings]).

a_second_check_is_refused(Directory) ->
    use(Directory, "exec sleep 100"),
    {ok, Job} = rabbit_hot_backup:start_verification(<<"B">>, ?ACTOR),
    ?assertMatch({error, #{code := busy}}, rabbit_hot_backup:start_drill(<<"B">>, ?ACTOR)),
    {ok, Restore} = rabbit_hot_backup:start_restore(<<"B">>, #{all => true}, ?ACTOR),
    [ok = rabbit_hot_backup:cancel(Id) || Id <- [Job, Restore]],
    ended(Job),
    ended(Restore),
    ?assertMatch({ok, #{state := cancelled}}, rabbit_hot_backup_jobs:find(Restore)).

a_cancelled_program_may_clean_up(Directory) ->
    use(Directory, ["trap 'sleep 0.2; touch ", Directory, "/cleaned; exit 130' TERM; touch ",
                    Directory, "/ready; while :; do sleep 0.05; done"]),
    {ok, Job} = rabbit_hot_backup:start_drill(<<"B">>, ?ACTOR),
    eventually(fun() -> filelib:is_file(filename:join(Directory, "ready")) end),
    ok = rabbit_hot_backup:cancel(Job),
    ok = rabbit_hot_backup:cancel(Job),
    ended(Job),
    ?assert(filelib:is_file(filename:join(Directory, "cleaned"))),
    ?assertMatch({ok, #{state := cancelled}}, rabbit_hot_backup_jobs:find(Job)),
    ?assertMatch({error, #{message := _}}, rabbit_hot_backup:cancel(Job)).

a_program_that_is_killed_has_failed(Directory) ->
    use(Directory, "kill -9 $$"),
    {ok, Job} = rabbit_hot_backup:start_drill(<<"B">>, ?ACTOR),
    ended(Job),
    {ok, #{state := failed, error := #{message := Message}}} = rabbit_hot_backup_jobs:find(Job),
    ?assertMatch({match, _}, re:run(Message, "ended by signal 9")).

tasks_end_with_the_plugin(Directory) ->
    use(Directory, ["echo $$ > ", Directory, "/pid.new; mv ", Directory, "/pid.new ", Directory,
                    "/pid; exec sleep 100"]),
    {ok, _} = rabbit_hot_backup:start_drill(<<"B">>, ?ACTOR),
    eventually(fun() -> filelib:is_file(filename:join(Directory, "pid")) end),
    ok = supervisor:terminate_child(rabbit_hot_backup_sup, rabbit_hot_backup_task_sup),
    ?assertNot(runs(Directory)),
    {ok, _} = supervisor:restart_child(rabbit_hot_backup_sup, rabbit_hot_backup_task_sup).

%% ------------------------------------------------------------------

use(Directory, Script) ->
    hot_backup_harness:set(#{executable => hot_backup_harness:program(Directory, Script),
                             repository => Directory}).

ended(Job) ->
    eventually(fun() ->
                       {ok, #{state := State}} = rabbit_hot_backup_jobs:find(Job),
                       State =/= running
               end).

%% Whether the process whose number is in the file `pid` is still there.
runs(Directory) ->
    {ok, Line} = file:read_file(filename:join(Directory, "pid")),
    filelib:is_dir("/proc/" ++ string:trim(binary_to_list(Line))).

runs_of(Directory) ->
    case file:read_file(filename:join(Directory, "runs")) of
        {ok, Lines} -> byte_size(Lines);
        {error, enoent} -> 0
    end.

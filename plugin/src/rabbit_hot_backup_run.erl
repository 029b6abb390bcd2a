%% What happens when a backup, or a restore drill, is due by schedule.
%%
%% A backup is a story of steps, and ends with the first that fails: the hook before it, a look at
%% the free space, the backup itself, its verification, and the retention. The hook after it runs in
%% any case and is told how it went. A run is a process that traps exits and does one thing after the
%% other; it ends when the plugin does.
%%
%% In a cluster one node does all of this for the backup of all (rabbit_hot_backup_duty). The others
%% verify the parts in their repositories and apply their retention.
-module(rabbit_hot_backup_run).

-export([start_link/1, actor/0]).

-export_type([order/0, outcome/0]).

-type order() :: backup
               | due
               | {part, Backup :: binary(), Coordinator :: node()}
               | drill
               | {missed, fun((Newest :: rabbit_hot_backup_cron:seconds()) -> boolean())}.
%% `due`: a backup, unless another node makes it. `part`: what is left to do where this node has a
%% part of one that another node made. `missed`: as `due`, if, going by when the newest one was made,
%% one was missed.

-type outcome() :: done | failed | nothing.
%% The exit reason is `{shutdown, Outcome}`.

-type run() :: #{backup => binary(), manifest => iodata(), verified_later => true,
                 noted => {Text :: iodata(), UnixMilliseconds :: integer()}}.
%% `noted`: what is to be said in the backup's log when there is one.

-type result() :: {ok, run()} | {failed, rabbit_hot_backup_monitor:step(), rabbit_hot_backup_protocol:error(), run()}.

%% A repository that several nodes share has one writer at a time: how long to wait for it, in
%% milliseconds.
-define(PATIENCE, 3600000).
%% Before it is looked again for a repository that is not there yet.
-define(PAUSE, 30000).
%% How long a missed backup waits for other nodes of the cluster that start as well.
-define(COMPANY, 600000).
%% Before a check is tried again that lost its place to another one.
-define(AGAIN, 1000).
%% How long a backup waits for its verification while something else is checked.
-define(CHECK_PATIENCE, 600000).

-spec start_link(order()) -> pid().
start_link(Order) ->
    proc_lib:spawn_link(fun() ->
                                process_flag(trap_exit, true),
                                ok = rabbit_hot_backup_jobs:subscribe(),
                                exit({shutdown, run(Order)})
                        end).

-spec actor() -> rabbit_hot_backup_jobs:actor().
%% As whom the schedule acts. What becomes of its jobs is told by the run, once.
actor() ->
    #{user => <<"schedule">>}.

-spec run(order()) -> outcome().
run(backup) ->
    Result = steps([fun before_hook/1, fun check_space/1, fun back_up/1, fun verify/1,
                    fun prune/1], #{}),
    After = after_hook(Result),
    outcome([report(Result), report(After)]);
run(due) ->
    case rabbit_hot_backup_duty:look() of
        ours ->
            run(backup);
        {left_to, Node} ->
            rabbit_hot_backup_compat:log(
              info, "a scheduled backup of the cluster is due: ~ts makes it", [Node]),
            nothing
    end;
run({part, Backup, Coordinator}) ->
    case is_shared_with(Coordinator, Backup) of
        true -> nothing;
        false -> outcome([report(steps([fun verify/1, fun prune/1], #{backup => Backup}))])
    end;
run(drill) ->
    outcome([report(drill())]);
run({missed, IsMissed}) ->
    run_missed(IsMissed, erlang:monotonic_time(millisecond) + ?COMPANY).

-spec run_missed(fun((rabbit_hot_backup_cron:seconds()) -> boolean()), Deadline :: integer()) ->
          outcome().
run_missed(IsMissed, Deadline) ->
    case backups() of
        {ok, Backups} ->
            case is_missed(IsMissed, Backups) of
                true -> make_up(IsMissed, Deadline);
                false -> nothing
            end;
        {error, Error} ->
            %% A disk may come later than the node.
            rabbit_hot_backup_compat:log(
              warning, "whether a backup was missed is not known yet: ~ts",
              [rabbit_hot_backup_protocol:format_error(Error)]),
            pause(?PAUSE),
            run_missed(IsMissed, Deadline)
    end.

-spec is_missed(fun((rabbit_hot_backup_cron:seconds()) -> boolean()),
                [rabbit_hot_backup_program:object()]) -> boolean().
is_missed(IsMissed, Backups) ->
    case rabbit_hot_backup_listing:newest(rabbit_hot_backup_listing:of_node(Backups)) of
        {ok, Newest} ->
            IsMissed(floor(rabbit_hot_backup_listing:time(<<"started">>, Newest)));
        none ->
            %% There is nothing that it could be known from.
            false
    end.

-spec make_up(fun((rabbit_hot_backup_cron:seconds()) -> boolean()), Deadline :: integer()) ->
          outcome().
%% A cluster that was started takes some time to be whole, and then the first of its nodes should
%% have noticed, too. It has not if it ran while the backup was missed for this one's absence.
make_up(IsMissed, Deadline) ->
    case erlang:monotonic_time(millisecond) >= Deadline
        orelse (rabbit_hot_backup_duty:is_whole() andalso rabbit_hot_backup_duty:look()) of
        Ready when Ready =:= true; Ready =:= ours ->
            rabbit_hot_backup_compat:log(info, "a scheduled backup was missed: it is made now", []),
            run(backup);
        _ ->
            pause(?PAUSE),
            run_missed(IsMissed, Deadline)
    end.

-spec is_shared_with(node(), Backup :: binary()) -> boolean().
%% Whether that node's part is in this node's repository: then it does what is to be done there.
is_shared_with(Node, Backup) ->
    Name = atom_to_binary(Node),
    {Backups, _} = rabbit_hot_backup_catalogue:list(),
    lists:any(fun(#{<<"node">> := Of, <<"state">> := State}) ->
                      Of =:= Name andalso State =:= <<"here">>
              end, [Part || #{<<"backup">> := Id, <<"parts">> := Parts} <- Backups,
                            Id =:= Backup, Part <- Parts]).

-spec backups() -> {ok, [rabbit_hot_backup_program:object()]}
                 | {error, rabbit_hot_backup_protocol:error()}.
%% A repository that is not there yet has none.
backups() ->
    case rabbit_hot_backup_catalogue:list() of
        {[], #{code := Code} = Error} when Code =/= not_found -> {error, Error};
        {Backups, _} -> {ok, Backups}
    end.

-spec outcome([done | failed]) -> done | failed.
outcome(Outcomes) ->
    case lists:member(failed, Outcomes) of
        true -> failed;
        false -> done
    end.

-spec steps([fun((run()) -> result())], run()) -> result().
steps([], Run) ->
    {ok, Run};
steps([Step | Steps], Run) ->
    case Step(Run) of
        {ok, Next} -> steps(Steps, Next);
        Failed -> Failed
    end.

-spec report(result()) -> done | failed.
report({ok, _}) ->
    done;
report({failed, Step, Error, _}) ->
    ok = rabbit_hot_backup_monitor:failed(Step, Error),
    failed.

%% ------------------------------------------------------------------
%% The steps

-spec before_hook(run()) -> result().
before_hook(Run) ->
    hook(before, [], Run).

-spec after_hook(result()) -> result().
after_hook({ok, Run}) ->
    hook('after', told(Run, "done", ""), Run);
after_hook({failed, prune, _, Run}) ->
    %% The backup is there, and good.
    hook('after', told(Run, "done", ""), Run);
after_hook({failed, _, Error, Run}) ->
    hook('after', told(Run, "failed", rabbit_hot_backup_protocol:format_error(Error)), Run).

-spec told(run(), string(), iodata()) -> rabbit_hot_backup_hook:environment().
told(Run, Outcome, Error) ->
    Backup = maps:get(backup, Run, <<>>),
    [{"HOT_BACKUP_ID", Backup},
     {"HOT_BACKUP_MANIFEST", maps:get(manifest, Run, "")},
     {"HOT_BACKUP_OUTCOME", Outcome},
     {"HOT_BACKUP_ERROR", Error}].

-spec hook(before | 'after', rabbit_hot_backup_hook:environment(), run()) -> result().
hook(When, Told, Run) ->
    Environment = [{"HOT_BACKUP_HOOK", atom_to_list(When)},
                   {"HOT_BACKUP_NODE", atom_to_list(node())},
                   {"HOT_BACKUP_REPOSITORY", rabbit_hot_backup_settings:repository()} | Told],
    case rabbit_hot_backup_settings:hook(When) of
        none ->
            {ok, Run};
        Path ->
            Begin = os:system_time(millisecond),
            Result = rabbit_hot_backup_hook:run(Path, Environment,
                                                rabbit_hot_backup_settings:hook_timeout()),
            Text = hook_text(When, Path, Result, os:system_time(millisecond) - Begin),
            Noted = note_if_made(Run#{noted => {Text, Begin}}),
            case Result of
                ok -> {ok, Noted};
                {error, Error} -> {failed, hook, Error, Noted}
            end
    end.

-spec note_if_made(run()) -> run().
note_if_made(#{backup := _} = Run) -> note_hook(Run);
note_if_made(Run) -> Run.

-spec hook_text(before | 'after', Path :: binary(),
                ok | {error, rabbit_hot_backup_protocol:error()}, Milliseconds :: integer()) ->
          iodata().
hook_text(When, Path, Result, Milliseconds) ->
    Outcome = case Result of
                  ok -> "done";
                  {error, #{message := Message}} -> ["failed: ", Message]
              end,
    io_lib:format("hook ~ts the backup, ~ts: ~ts, in ~.1f s",
                  [When, Path, Outcome, Milliseconds / 1000]).

-spec check_space(run()) -> result().
check_space(Run) ->
    case rabbit_hot_backup_space:check() of
        ok -> {ok, Run};
        {error, Error} -> {failed, space, Error, Run}
    end.

-spec back_up(run()) -> result().
%% The program itself waits for another writer of the repository: that is one job, with one end.
back_up(Run) ->
    Deadline = erlang:monotonic_time(millisecond) + ?PATIENCE,
    case do_job(backup, fun() -> order_backup(Deadline) end, infinity) of
        {ok, #{backup := Backup} = Job} ->
            {ok, note_hook(Run#{backup => Backup, manifest => manifest(Job)})};
        {error, Error} ->
            {failed, backup, Error, Run}
    end.

-spec order_backup(Deadline :: integer()) ->
          {ok, rabbit_hot_backup_jobs:id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Another node of the cluster may make one of its own.
order_backup(Deadline) ->
    Options = (rabbit_hot_backup_duty:options())#{actor => actor(), lock_patience => ?PATIENCE},
    case {rabbit_hot_backup:start_backup(Options),
          erlang:monotonic_time(millisecond) >= Deadline} of
        {{error, #{code := busy} = Error}, true} -> {error, Error#{code := failed}};
        {{error, #{code := busy}} = Busy, false} -> pause(?PAUSE), Busy;
        {Ordered, _} -> Ordered
    end.

-spec manifest(rabbit_hot_backup_jobs:job()) -> iodata().
%% The file: docs/format.md.
manifest(#{repository := Repository, backup := Backup} = Job) ->
    case Job of
        #{part := _} -> [Repository, "/clusters/", Backup, ".cluster"];
        #{} -> [Repository, "/manifests/", Backup, ".manifest"]
    end.

-spec note_hook(run()) -> run().
%% When the hook ran there was no backup yet whose log could say so.
note_hook(#{noted := {Text, When}, backup := Backup} = Run) ->
    ok = note(Backup, Text, When),
    maps:remove(noted, Run);
note_hook(Run) ->
    Run.

-spec note(Backup :: binary(), iodata(), When :: integer()) -> ok.
note(Backup, Text, When) ->
    case rabbit_hot_backup_catalogue:note(Backup, Text, When) of
        ok ->
            ok;
        {error, Error} ->
            rabbit_hot_backup_compat:log(warning, "the log of backup ~ts lacks a line: ~ts",
                                         [Backup, rabbit_hot_backup_protocol:format_error(Error)])
    end.

-spec verify(run()) -> result().
verify(#{backup := Backup} = Run) ->
    Start = fun() -> rabbit_hot_backup:start_verification(Backup, actor()) end,
    Deadline = erlang:monotonic_time(millisecond) + ?CHECK_PATIENCE,
    case rabbit_hot_backup_settings:verify_after_backup() andalso do_job(check, Start, Deadline) of
        {error, Error} ->
            {failed, verify, Error, Run};
        later ->
            %% The next backup is not to wait for it.
            ok = rabbit_hot_backup_schedule:verify_later(Backup),
            {ok, Run#{verified_later => true}};
        _ ->
            {ok, Run}
    end.

-spec prune(run()) -> result().
%% Not before it is known that the new backup is good; the next run does it.
prune(#{verified_later := true} = Run) ->
    {ok, Run};
prune(Run) ->
    case rabbit_hot_backup_settings:retention_options(
           rabbit_hot_backup_settings:retention()) of
        [] -> {ok, Run};
        Options -> prune(Options, Run)
    end.

-spec prune([iodata()], run()) -> result().
prune(Options, #{backup := Backup} = Run) ->
    Deadline = erlang:monotonic_time(millisecond) + ?CHECK_PATIENCE,
    case await_others(Backup, Deadline) of
        ok ->
            case rabbit_hot_backup:prune(Options, {remove, ?PATIENCE}, actor()) of
                {ok, _} ->
                    ok = rabbit_hot_backup_monitor:done(prune),
                    {ok, Run};
                {error, Error} ->
                    {failed, prune, Error, Run}
            end;
        {error, Error} ->
            {failed, prune, Error, Run}
    end.

-spec await_others(Backup :: binary(), Deadline :: integer()) ->
          ok | {error, rabbit_hot_backup_protocol:error()}.
%% Each node verifies what is in its repository. A cluster's backup is not good before all have.
await_others(Backup, Deadline) ->
    case rabbit_hot_backup_settings:verify_after_backup()
        andalso rabbit_hot_backup_contents:unverified(Backup) of
        {Node, What} ->
            case What =:= later andalso erlang:monotonic_time(millisecond) < Deadline of
                true ->
                    pause(?AGAIN),
                    await_others(Backup, Deadline);
                false ->
                    {error, rabbit_hot_backup_protocol:error(
                              failed, "nothing was removed: the part of ~ts in backup ~ts is not "
                              "known to be intact", [Node, Backup],
                              "Look at that node's log, and verify the backup there.")}
            end;
        _ ->
            ok
    end.

-spec drill() -> result().
drill() ->
    case backups() of
        {ok, Backups} -> drill(Backups);
        {error, Error} -> {failed, drill, Error, #{}}
    end.

-spec drill([rabbit_hot_backup_program:object()]) -> result().
drill(Backups) ->
    case rabbit_hot_backup_listing:newest_verified(
           rabbit_hot_backup_listing:bootable(Backups)) of
        {ok, #{<<"backup">> := Backup}} ->
            Start = fun() -> rabbit_hot_backup:start_drill(Backup, actor()) end,
            case do_job(check, Start, infinity) of
                {ok, _} -> {ok, #{}};
                {error, Error} -> {failed, drill, Error, #{}}
            end;
        none ->
            {failed, drill, rabbit_hot_backup_protocol:error(
                              not_found, "there is no verified backup of this node to boot", [],
                              "Make one, or verify one: rabbitmq-hot-backup verify latest. A "
                              "cluster's is booted where one repository has all its parts."), #{}}
    end.

%% ------------------------------------------------------------------
%% Jobs

-spec do_job(backup | check, fun(() -> {ok, rabbit_hot_backup_jobs:id()}
                                     | {error, rabbit_hot_backup_protocol:error()}),
             Deadline :: integer() | infinity) ->
          {ok, rabbit_hot_backup_jobs:job()} | {error, rabbit_hot_backup_protocol:error()} | later.
%% Waits until nothing else is being done that would be in its way, and for its end. `later`: it was
%% not begun before the deadline, in milliseconds of the monotonic clock.
do_job(Slot, Start, Deadline) ->
    case rabbit_hot_backup_jobs:running_in(Slot) of
        {ok, #{id := Id}} ->
            case wait(Id, Deadline) of
                later -> later;
                _ -> do_job(Slot, Start, Deadline)
            end;
        none ->
            case Start() of
                {ok, Id} ->
                    ended(wait(Id, infinity));
                {error, #{code := busy}} ->
                    %% Somebody else was as quick.
                    pause(?AGAIN),
                    do_job(Slot, Start, Deadline);
                {error, Error} ->
                    {error, Error}
            end
    end.

-spec ended(rabbit_hot_backup_jobs:job()) ->
          {ok, rabbit_hot_backup_jobs:job()} | {error, rabbit_hot_backup_protocol:error()}.
ended(#{state := done} = Job) -> {ok, Job};
ended(#{error := Error}) -> {error, Error};
ended(#{id := Id, state := State}) ->
    {error, rabbit_hot_backup_protocol:error(cancelled, "job ~b was ~ts", [Id, State])}.

-spec wait(rabbit_hot_backup_jobs:id(), Deadline :: integer() | infinity) ->
          rabbit_hot_backup_jobs:job() | later.
%% Every job ends: somebody watches over it.
wait(Id, Deadline) ->
    Time = case Deadline of
               infinity -> infinity;
               _ -> max(0, Deadline - erlang:monotonic_time(millisecond))
           end,
    receive
        {job_ended, #{id := Id} = Job} -> Job;
        {'EXIT', Pid, Reason} when is_pid(Pid) -> exit(Reason)
    after Time -> later
    end.

-spec pause(Milliseconds :: pos_integer()) -> ok.
pause(Milliseconds) ->
    receive
        {'EXIT', Pid, Reason} when is_pid(Pid) -> exit(Reason)
    after Milliseconds -> ok
    end.

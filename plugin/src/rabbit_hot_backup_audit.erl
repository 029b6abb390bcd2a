%% Who wanted what done, and whether it was: a line in the broker's log for each action, and an
%% event for each that the plugin agreed to.
%%
%% The plugin rabbitmq_event_exchange forwards the events: `hot_backup_restore_started` has the
%% routing key `hot.backup.restore.started`.
-module(rabbit_hot_backup_audit).

-export([record/4]).

-export_type([action/0, subject/0]).

-type action() :: back_up | verify | drill | restore | cancel | protect | unprotect | delete | prune
                | download.

-type subject() :: #{backup => binary(), repository => binary(), job => pos_integer(),
                     reason => binary()}.
%% What it was done to. `reason`: that of a protection.

-spec record(action(), rabbit_hot_backup_jobs:actor(), subject(), Result) -> Result
              when Result :: ok | {ok, term()} | {error, rabbit_hot_backup_protocol:error()}.
%% Returns the result of the action. That of a start is the number of a job.
record(Action, Actor, Subject, {error, Error} = Result) ->
    Reason = one_line(rabbit_hot_backup_protocol:format_error(Error)),
    rabbit_hot_backup_compat:log(warning, "~ts: ~ts: refused: ~ts",
                                 [who(Actor), wish(Action, Subject), Reason]),
    Result;
record(Action, Actor, Subject, Result) ->
    Known = case Result of
                {ok, Job} when is_integer(Job) -> Subject#{job => Job};
                _ -> Subject
            end,
    rabbit_hot_backup_compat:log(info, "~ts: ~ts", [who(Actor), wish(Action, Known)]),
    rabbit_hot_backup_compat:notify(event(Action), properties(Actor, Known)),
    Result.

-spec wish(action(), subject()) -> iodata().
wish(Action, Subject) ->
    [string:replace(atom_to_list(Action), "_", " "), " "
    | lists:join(", ", [[atom_to_list(Key), " ", text(maps:get(Key, Subject))]
                        || Key <- [backup, repository, job, reason], maps:is_key(Key, Subject)])].

-spec text(binary() | pos_integer()) -> iodata().
text(Number) when is_integer(Number) -> integer_to_list(Number);
text(Text) -> one_line(Text).

-spec one_line(iodata()) -> binary().
%% Anybody may have written it: it must not look like a line of the log.
one_line(Text) ->
    re:replace(Text, "[[:cntrl:]]", " ", [global, unicode, {return, binary}]).

-spec who(rabbit_hot_backup_jobs:actor()) -> iodata().
who(#{user := User, address := Address}) -> ["user '", one_line(User), "' at ", Address];
who(#{user := User}) -> ["user '", one_line(User), "'"].

-spec event(action()) -> atom().
event(back_up) -> hot_backup_started;
event(verify) -> hot_backup_verification_started;
event(drill) -> hot_backup_drill_started;
event(restore) -> hot_backup_restore_started;
event(cancel) -> hot_backup_cancelled;
event(protect) -> hot_backup_protected;
event(unprotect) -> hot_backup_unprotected;
event(delete) -> hot_backup_deleted;
event(prune) -> hot_backup_pruned;
event(download) -> hot_backup_downloaded.

-spec properties(rabbit_hot_backup_jobs:actor(), subject()) -> [{atom(), term()}].
properties(#{user := User} = Actor, Subject) ->
    [{node, node()}, {user_who_performed_action, User}]
        ++ [{address, Address} || #{address := Address} <- [Actor]]
        ++ maps:to_list(Subject).

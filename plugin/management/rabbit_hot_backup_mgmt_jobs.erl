%% Resources of the API: the jobs, and what starts those that are about a backup.
-module(rabbit_hot_backup_mgmt_jobs).

-export([methods/1, answer/3]).
-export([started/1]).

-type name() :: jobs | job | verification | drill | restore | plan.

-type reply() :: rabbit_hot_backup_mgmt_reply:answer().

-spec methods(name()) -> [binary()].
methods(jobs) -> [<<"HEAD">>, <<"GET">>];
methods(job) -> [<<"HEAD">>, <<"GET">>, <<"DELETE">>];
methods(_) -> [<<"POST">>].

-spec answer(get | post | delete, name(), rabbit_hot_backup_mgmt_resource:request()) -> reply().
answer(get, jobs, _) ->
    #{jobs := Running} = rabbit_hot_backup:status(),
    {ok, [rabbit_hot_backup_json:job_in_list(Job)
          || Job <- Running ++ rabbit_hot_backup:history()]};
answer(Method, job, #{bindings := #{job := Text}} = Request) ->
    case find(Text) of
        {ok, Job} -> of_job(Method, Job, Request);
        {error, Error} -> {error, Error}
    end;
answer(post, Name, #{bindings := #{id := Id}} = Request) ->
    case rabbit_hot_backup_mgmt_backups:find(Id) of
        {ok, Backup} -> of_backup(Name, Backup, Request);
        {error, Error} -> {error, Error}
    end.

-spec of_job(get | delete, rabbit_hot_backup:job(), rabbit_hot_backup_mgmt_resource:request()) ->
          reply().
of_job(get, Job, _) ->
    {ok, rabbit_hot_backup_json:job(Job)};
of_job(delete, #{id := Id}, #{actor := Actor}) ->
    case rabbit_hot_backup:cancel(Id, Actor) of
        ok -> accepted;
        %% It has ended.
        {error, Error} -> {conflict, Error}
    end.

-spec of_backup(name(), Backup :: binary(), rabbit_hot_backup_mgmt_resource:request()) -> reply().
of_backup(verification, Backup, #{actor := Actor}) ->
    started(rabbit_hot_backup:start_verification(Backup, Actor));
of_backup(drill, Backup, #{actor := Actor}) ->
    started(rabbit_hot_backup:start_drill(Backup, Actor));
of_backup(plan, Backup, #{body := Body}) ->
    case selection(Body, #{}) of
        {ok, Selection} ->
            case rabbit_hot_backup:plan_restore(Backup, Selection) of
                {ok, Objects} -> {ok, rabbit_hot_backup_json:report(Objects)};
                {error, Error} -> {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end;
of_backup(restore, Backup, #{body := Body, actor := Actor}) ->
    case selection(Body, #{rate_limit => positive}) of
        {ok, Selection} -> started(rabbit_hot_backup:start_restore(Backup, Selection, Actor));
        {error, Error} -> {error, Error}
    end.

-spec selection(map(), #{atom() => positive}) ->
          {ok, rabbit_hot_backup:selection()} | {error, rabbit_hot_backup_protocol:error()}.
selection(Body, More) ->
    Types = More#{queues => texts, vhosts => texts, all => boolean, as => text,
                  definitions_only => boolean},
    case rabbit_hot_backup_mgmt_body:fields(Body, Types) of
        {ok, Selection} ->
            case is_something(Selection) of
                true -> {ok, Selection};
                false -> {error, rabbit_hot_backup_protocol:error(
                                   usage, "the request names no queues: queues, vhosts or all")}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec is_something(rabbit_hot_backup:selection()) -> boolean().
is_something(Selection) ->
    maps:get(queues, Selection, []) =/= [] orelse maps:get(vhosts, Selection, []) =/= []
        orelse maps:get(all, Selection, false).

-spec started({ok, rabbit_hot_backup:job_id()} | {error, rabbit_hot_backup_protocol:error()}) ->
          reply().
%% A job that has just been started.
started({ok, Id}) ->
    {ok, Job} = rabbit_hot_backup:job(Id),
    {created, path(Id), rabbit_hot_backup_json:job(Job)};
started({error, Error}) ->
    {error, Error}.

-spec path(rabbit_hot_backup:job_id()) -> iodata().
path(Id) ->
    ["/hot-backup/jobs/", integer_to_list(Id)].

-spec find(binary()) ->
          {ok, rabbit_hot_backup:job()} | {error, rabbit_hot_backup_protocol:error()}.
find(Text) ->
    Known = try rabbit_hot_backup:job(binary_to_integer(Text))
            catch error:badarg -> error
            end,
    case Known of
        {ok, Job} -> {ok, Job};
        error -> {error, rabbit_hot_backup_protocol:error(
                           not_found, "there is no job ~ts, or not any more", [Text])}
    end.

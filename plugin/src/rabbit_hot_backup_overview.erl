%% Everything that is to be seen of the plugin at a glance: what runs, where backups go, what is
%% set, what went wrong last. docs/openapi.json has the fields.
-module(rabbit_hot_backup_overview).

-export([status/0]).

-type part() :: #{atom() => term()}.

-spec status() -> part().
status() ->
    #{jobs := Running, port := Port, repository := Path} = rabbit_hot_backup:status(),
    #{node => node(),
      version => rabbit_hot_backup_compat:plugin_version(),
      repository => repository(Path),
      program => rabbit_hot_backup_json:program(Port),
      running => [rabbit_hot_backup_json:job_in_list(Job) || Job <- Running],
      last_failure => last_failure(rabbit_hot_backup_monitor:last_failure()),
      schedule => schedule(rabbit_hot_backup_schedule:status()),
      retention => maps:from_list(rabbit_hot_backup_settings:retention()),
      settings => settings()}.

-spec repository(Path :: binary()) -> part().
repository(Path) ->
    {_, Error} = rabbit_hot_backup_catalogue:list(),
    Space = case rabbit_hot_backup_catalogue:space() of
                {ok, Known} -> Known;
                unknown -> #{}
            end,
    #{path => Path,
      free_bytes => maps:get(free_bytes, Space, null),
      total_bytes => maps:get(total_bytes, Space, null),
      error => case Error of
                   undefined -> null;
                   _ -> rabbit_hot_backup_json:error(Error)
               end}.

-spec last_failure(rabbit_hot_backup_monitor:failure() | none) -> part() | null.
last_failure(none) ->
    null;
last_failure(#{job := Job, time := Time, error := Error}) ->
    #{kind => Job, finished => rabbit_hot_backup_json:time(Time),
      error => rabbit_hot_backup_json:error(Error)}.

-spec schedule(rabbit_hot_backup_schedule:status()) -> part().
schedule(#{backup := Backup, drill := Drill}) ->
    #{backup => maps:get(schedule, Backup),
      next_backup => next(Backup),
      drill => maps:get(schedule, Drill),
      next_drill => next(Drill)}.

-spec next(#{next := rabbit_hot_backup_cron:seconds() | null, atom() => term()}) -> binary() | null.
next(#{next := null}) -> null;
next(#{next := Seconds}) -> rabbit_hot_backup_json:time(Seconds * 1000).

-spec settings() -> part().
settings() ->
    #{max_pause => rabbit_hot_backup_settings:max_pause(),
      rate_limit => rabbit_hot_backup_settings:rate_limit(),
      stall_timeout => rabbit_hot_backup_settings:stall_timeout(),
      time_zone => rabbit_hot_backup_settings:time_zone(),
      verify_after_backup => rabbit_hot_backup_settings:verify_after_backup(),
      min_free_space => space(rabbit_hot_backup_settings:min_free_space()),
      hook_before => text(rabbit_hot_backup_settings:hook(before)),
      hook_after => text(rabbit_hot_backup_settings:hook('after')),
      hook_timeout => rabbit_hot_backup_settings:hook_timeout()}.

-spec space(non_neg_integer() | {percent, 0..99}) -> non_neg_integer() | binary().
space({percent, Percent}) -> <<(integer_to_binary(Percent))/binary, "%">>;
space(Bytes) -> Bytes.

-spec text(binary() | none) -> binary() | null.
text(none) -> null;
text(Text) -> Text.

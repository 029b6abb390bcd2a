%% Metrics for Prometheus, where the plugin rabbitmq_prometheus is enabled: docs/operations.md,
%% "Monitoring".
%%
%% A collector of the library `prometheus`, which comes with RabbitMQ. Plugins come and go while the
%% node runs, so the collector is registered again and again, which costs nothing.
-module(rabbit_hot_backup_prometheus).

-export([register/0, deregister/0]).

%% For the library.
-export([collect_mf/2, deregister_cleanup/1]).

-type sample() :: number() | {[{atom(), term()}], number()} | rabbit_hot_backup_monitor:histogram().

-type family() :: {Name :: string(), counter | gauge | histogram, Help :: string(), [sample()]}.

-define(PREFIX, "rabbitmq_hot_backup_").
%% Where the metrics of a node are, and the same without aggregation.
-define(REGISTRIES, [default, 'per-object']).

-spec register() -> ok.
register() ->
    case whereis(prometheus_sup) of
        undefined -> ok;
        _ -> each_registry(register_collector)
    end.

-spec deregister() -> ok.
deregister() ->
    case whereis(prometheus_sup) of
        undefined -> ok;
        _ -> each_registry(deregister_collector)
    end.

-spec each_registry(atom()) -> ok.
%% The library may be on its way out.
each_registry(Function) ->
    lists:foreach(fun(Registry) ->
                          try prometheus_registry:Function(Registry, ?MODULE)
                          catch error:_ -> ok
                          end
                  end, ?REGISTRIES).

-spec deregister_cleanup(term()) -> ok.
deregister_cleanup(_) ->
    ok.

-spec collect_mf(term(), fun((term()) -> term())) -> ok.
collect_mf(_Registry, Callback) ->
    case rabbit_hot_backup_monitor:metrics() of
        {ok, Metrics} ->
            lists:foreach(
              fun({Name, Type, Help, Samples}) ->
                      Callback(prometheus_model_helpers:create_mf(
                                 list_to_binary(?PREFIX ++ Name), list_to_binary(Help), Type,
                                 Samples))
              end, families(Metrics));
        none ->
            ok
    end.

-spec families(rabbit_hot_backup_monitor:metrics()) -> [family()].
%% A family without samples is left out: what is not known is not zero.
families(Metrics) ->
    [Family || {_, _, _, [_ | _]} = Family <- jobs(Metrics) ++ repository(Metrics)].

-spec jobs(rabbit_hot_backup_monitor:metrics()) -> [family()].
jobs(#{done := Done, failures := Failures, pauses := Pauses, running := Running,
       planned := Planned, readable := Readable}) ->
    Jobs = [backup, verify, drill, restore],
    [{"completed_total", counter, "Jobs that went well since the plugin was started",
      [{[{kind, Job}], maps:get(Job, Done, 0)} || Job <- [prune | Jobs]]},
     {"failures_total", counter, "What went wrong since the plugin was started",
      [{[{kind, Job}, {reason, Reason}], Count}
       || {{Job, Reason}, Count} <- maps:to_list(maps:merge(no_failures(), Failures))]},
     {"running", gauge, "Jobs that are being done",
      [{[{kind, Job}], maps:get(Job, Running, 0)} || Job <- Jobs]},
     {"pause_seconds", histogram, "How long the node was held still for a backup", [Pauses]},
     {"next_run_timestamp_seconds", gauge, "When a job is due by schedule",
      [{[{kind, Job}], Time} || {Job, Time} <- maps:to_list(Planned)]},
     {"repository_readable", gauge, "Whether the repository could be looked at",
      [case Readable of true -> 1; false -> 0 end]}].

-spec no_failures() -> map().
%% A counter that appears with its first failure never rises, as Prometheus sees it.
no_failures() ->
    maps:from_list([{{Job, Reason}, 0}
                    || {Job, Reasons} <- [{backup, [failed, busy, stalled, hook, space, skipped]},
                                          {verify, [failed, damaged]},
                                          {drill, [failed, damaged, not_found, skipped]},
                                          {restore, [failed]},
                                          {prune, [failed, busy]}],
                       Reason <- Reasons]).

-spec repository(rabbit_hot_backup_monitor:metrics()) -> [family()].
repository(#{repository := #{backups := Backups, protected := Protected, unreadable := Unreadable,
                             bytes := Bytes, checks := Checks} = Repository}) ->
    Now = os:system_time(millisecond) / 1000,
    Space = maps:get(space, Repository, #{}),
    [{"backups", gauge, "Backups in the repository", [Backups]},
     {"backups_protected", gauge, "Backups that are protected", [Protected]},
     {"backups_unreadable", gauge, "Backups whose manifest cannot be read", [Unreadable]},
     {"repository_size_bytes", gauge, "What the backups take", [Bytes]},
     {"repository_free_bytes", gauge, "What is free on the repository's file system",
      [Free || #{free_bytes := Free} <- [Space]]},
     {"repository_capacity_bytes", gauge, "The size of the repository's file system",
      [Total || #{total_bytes := Total} <- [Space]]},
     {"last_check_timestamp_seconds", gauge, "When a backup of this node was checked last",
      [{[{kind, Job}], Time} || {Job, {Time, _}} <- maps:to_list(Checks)]},
     {"last_check_ok", gauge, "Whether that check found nothing",
      [{[{kind, Job}], case IsGood of true -> 1; false -> 0 end}
       || {Job, {_, IsGood}} <- maps:to_list(Checks)]}]
        ++ newest(Repository, Now);
repository(#{}) ->
    [].

-spec newest(rabbit_hot_backup_monitor:repository(), Now :: float()) -> [family()].
newest(Repository, Now) ->
    Newest = [Known || #{newest := Known} <- [Repository]],
    Instants = [Instant || #{instant := Instant} <- Newest],
    Verified = [Instant || #{newest_verified := Instant} <- [Repository]],
    [{"last_success_timestamp_seconds", gauge, "The instant of this node's newest backup",
      Instants},
     {"last_success_age_seconds", gauge, "The age of this node's newest backup",
      [Now - Instant || Instant <- Instants]},
     {"last_verified_timestamp_seconds", gauge,
      "The instant of this node's newest backup that was found intact", Verified},
     {"last_verified_age_seconds", gauge,
      "The age of this node's newest backup that was found intact",
      [Now - Instant || Instant <- Verified]},
     {"last_duration_seconds", gauge, "How long the newest backup took to make",
      [Seconds || #{seconds := Seconds} <- Newest]},
     {"last_size_bytes", gauge, "The size of the newest backup", [Bytes || #{bytes := Bytes} <- Newest]},
     {"last_pause_seconds", gauge, "How long the node was held still for the newest backup",
      [Pause / 1000000 || #{pause_us := Pause} <- Newest]}].

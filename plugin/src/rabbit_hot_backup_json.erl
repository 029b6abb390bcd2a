%% What the plugin knows as others are told it, by the HTTP API (docs/openapi.json) and by commands.
%% What the program prints goes through as it is.
-module(rabbit_hot_backup_json).

-export([job/1, job_in_list/1, program/1, error/1, time/1]).
-export([backups/1, backup/1, items/1, report/1]).

-compile({no_auto_import, [error/1]}).

-type json() :: #{atom() | binary() => term()}.

-spec job(rabbit_hot_backup:job()) -> json().
%% All fields are always there; what a job does not have is null.
job(Job) ->
    (job_in_list(Job))#{findings => maps:get(findings, Job, [])}.

-spec job_in_list(rabbit_hot_backup:job()) -> json().
%% Without its findings, which may be a thousand.
job_in_list(#{id := Id, kind := Kind, state := State, repository := Repository} = Job) ->
    Actor = maps:get(actor, Job, #{}),
    {Done, Total} = maps:get(progress, Job, {null, null}),
    #{id => Id,
      kind => Kind,
      state => State,
      user => maps:get(user, Actor, null),
      address => maps:get(address, Actor, null),
      repository => Repository,
      backup => maps:get(backup, Job, null),
      requested => time(requested, Job),
      started => time(started, Job),
      finished => time(finished, Job),
      phase => maps:get(phase, Job, null),
      bytes_done => Done,
      bytes_total => Total,
      bytes_per_second => maps:get(speed, Job, null),
      seconds_remaining => maps:get(remaining, Job, null),
      nodes => case Job of
                   #{nodes := Nodes} -> [progress(Node) || Node <- Nodes];
                   #{} -> null
               end,
      result => maps:get(result, Job, null),
      finding_count => maps:get(finding_count, Job, 0),
      error => error(maps:get(error, Job, null))}.

-spec progress(rabbit_hot_backup_cluster:node_progress()) -> json().
progress(#{node := Node, phase := Phase, done := Done, total := Total}) ->
    #{node => Node, phase => Phase, bytes_done => Done, bytes_total => Total}.

-spec time(atom(), rabbit_hot_backup:job()) -> binary() | null.
time(Key, Job) ->
    case Job of
        #{Key := Milliseconds} -> time(Milliseconds);
        #{} -> null
    end.

-spec time(UnixMilliseconds :: integer()) -> binary().
time(Milliseconds) ->
    list_to_binary(calendar:system_time_to_rfc3339(Milliseconds,
                                                   [{unit, millisecond}, {offset, "Z"}])).

-spec program(rabbit_hot_backup:port_status()) -> json().
program(#{state := State, executable := Executable} = Status) ->
    #{state => State, executable => Executable, error => error(maps:get(error, Status, null))}.

-spec error(rabbit_hot_backup:error() | null) -> rabbit_hot_backup:error() | null.
error(null) -> null;
error(Error) -> maps:with([code, message, hint], Error).

-spec backups([rabbit_hot_backup_program:object()]) -> [json()].
%% Of what `list` prints, the newest first.
backups(Objects) ->
    Now = os:system_time(second),
    lists:reverse([aged(Now, plain(Object)) || #{<<"backup">> := _} = Object <- Objects]).

-spec aged(Now :: integer(), json()) -> json().
%% The program said how old it was when the list was made, which may be a while ago.
aged(Now, #{<<"instant">> := Instant} = Backup) ->
    Made = calendar:rfc3339_to_system_time(binary_to_list(Instant), [{unit, second}]),
    Backup#{<<"age_seconds">> => max(0, Now - Made)};
aged(_, Unreadable) ->
    Unreadable.

-spec backup(rabbit_hot_backup_program:object()) -> json().
%% Of what `show` prints without the long lists.
backup(#{<<"vhosts">> := VHosts} = Object) ->
    Totals = [(maps:remove(<<"queue_count">>, VHost))#{<<"queues">> => Count}
              || #{<<"queue_count">> := Count} = VHost <- VHosts],
    (plain(Object))#{<<"vhosts">> => Totals};
backup(Object) ->
    %% Of a cluster, and its queues are in another repository.
    plain(Object).

-spec items([rabbit_hot_backup_program:object()]) -> [json()].
%% Of what `show --list` prints.
items(Objects) ->
    [plain(Object) || Object <- Objects].

-spec report([rabbit_hot_backup_program:object()]) -> json().
%% What a run of the program printed: its summary, and everything else.
report(Objects) ->
    {Summaries, Findings} = lists:partition(fun is_summary/1, Objects),
    #{result => case Summaries of
                    [Summary | _] -> plain(Summary);
                    [] -> null
                end,
      findings => Findings}.

-spec is_summary(rabbit_hot_backup_program:object()) -> boolean().
is_summary(#{<<"message_type">> := Type}) ->
    Type =:= <<"summary">>.

-spec plain(rabbit_hot_backup_program:object()) -> json().
plain(Object) ->
    maps:remove(<<"message_type">>, Object).

%% Resources of the API: what is to be known of the node, its health check, and the retention.
-module(rabbit_hot_backup_mgmt_node).

-export([methods/1, answer/3]).

-type name() :: status | prune | last_verified.

-type reply() :: rabbit_hot_backup_mgmt_reply:answer().

-spec methods(name()) -> [binary()].
methods(prune) -> [<<"POST">>];
methods(_) -> [<<"HEAD">>, <<"GET">>].

-spec answer(get | post, name(), rabbit_hot_backup_mgmt_resource:request()) -> reply().
answer(get, status, _) ->
    {ok, rabbit_hot_backup_overview:status()};
answer(post, prune, #{body := Body, actor := Actor}) ->
    Rules = maps:from_list([{Rule, positive} || Rule <- rabbit_hot_backup_settings:rules()]),
    case rabbit_hot_backup_mgmt_body:fields(Body, Rules#{dry_run => boolean}) of
        {ok, Fields} ->
            How = case Fields of
                      #{dry_run := true} -> dry_run;
                      #{} -> {remove, 0}
                  end,
            prune(maps:to_list(maps:remove(dry_run, Fields)), How, Actor);
        {error, Error} ->
            {error, Error}
    end;
answer(get, last_verified, #{bindings := #{within := Within, unit := Unit}}) ->
    case seconds(Within, Unit) of
        {ok, Seconds} -> health(rabbit_hot_backup_health:last_verified(Seconds));
        {error, Error} -> {error, Error}
    end.

-spec health(ok | {failed, Reason :: binary()}) -> reply().
health(ok) -> {ok, #{status => ok}};
health({failed, Reason}) -> {unhealthy, #{status => failed, reason => Reason}}.

-spec seconds(binary(), binary()) ->
          {ok, pos_integer()} | {error, rabbit_hot_backup_protocol:error()}.
%% The units are those of the management plugin's check of certificates, and hours.
seconds(Within, Unit) ->
    Hour = 3600,
    Units = #{<<"hours">> => Hour, <<"days">> => 24 * Hour, <<"weeks">> => 7 * 24 * Hour,
              <<"months">> => 365 * 24 * Hour div 12, <<"years">> => 365 * 24 * Hour},
    try {binary_to_integer(Within), maps:find(string:lowercase(Unit), Units)} of
        {Number, {ok, Seconds}} when Number > 0 -> {ok, Number * Seconds};
        _ -> {error, no_time(Within, Unit)}
    catch
        error:badarg -> {error, no_time(Within, Unit)}
    end.

-spec no_time(binary(), binary()) -> rabbit_hot_backup_protocol:error().
no_time(Within, Unit) ->
    rabbit_hot_backup_protocol:error(
      usage, "\"~ts ~ts\" is no time", [Within, Unit],
      "Give a whole number above 0 and a unit: hours, days, weeks, months, years.").

-spec prune([{rabbit_hot_backup_settings:rule(), pos_integer()}],
            rabbit_hot_backup_catalogue:pruning(),
            rabbit_hot_backup_jobs:actor()) -> reply().
%% By the rules that the request has, or else those that are configured.
prune(Asked, How, Actor) ->
    Rules = case Asked of
                [] -> rabbit_hot_backup_settings:retention();
                _ -> Asked
            end,
    case rabbit_hot_backup_settings:retention_options(Rules) of
        [] ->
            {conflict, rabbit_hot_backup_protocol:error(
                         failed, "no retention is configured, so nothing is removed", [],
                         "Say what to keep, or set hot_backup.retention.* in rabbitmq.conf.")};
        Options ->
            case rabbit_hot_backup:prune(Options, How, Actor) of
                {ok, Objects} -> {ok, rabbit_hot_backup_json:report(Objects)};
                {error, Error} -> {error, Error}
            end
    end.

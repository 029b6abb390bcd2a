%% What the commands of rabbitmqctl share: asking the plugin on the node, waiting for a job there,
%% and saying how it went. The commands run in rabbitmqctl, not in the node.
%%
%% Exit codes are those that rabbitmqctl uses, which are those of sysexits.h.
-module(rabbit_hot_backup_cli).

-export([call/4, actor/0, start/3, wait/2]).
-export([is_json/1, json/1, failure/1, size_text/1]).

-export_type([options/0, failure/0]).

-type options() :: #{node := node(), timeout := timeout(), atom() => term()}.

-type failure() :: {error, ExitCode :: pos_integer(), Message :: binary()}.

-type job() :: #{atom() => term()}.
%% As rabbit_hot_backup_json:job/1 has it.

-define(DATA_ERROR, 65).
-define(NO_INPUT, 66).
-define(UNAVAILABLE, 69).
-define(SOFTWARE, 70).
-define(TEMPORARY, 75).
-define(USAGE, 64).

%% How often a job is looked at, in milliseconds, and how often its progress is a line.
-define(GLANCE, 250).
-define(REPORT, 5000).

-spec call(options(), module(), atom(), [term()]) ->
          {answer, term()} | {badrpc, term()} | failure().
%% Calls a function of the plugin on the node.
call(#{node := Node, timeout := Timeout}, Module, Function, Arguments) ->
    case rpc:call(Node, Module, Function, Arguments, Timeout) of
        {badrpc, {'EXIT', {undef, _}}} -> not_enabled(Node);
        {badrpc, {'EXIT', {noproc, _}}} -> not_enabled(Node);
        {badrpc, Reason} -> {badrpc, Reason};
        Answer -> {answer, Answer}
    end.

-spec not_enabled(node()) -> failure().
not_enabled(Node) ->
    {error, ?UNAVAILABLE,
     text("the plugin rabbitmq_hot_backup is not enabled on node ~ts. "
          "Run `rabbitmq-plugins enable rabbitmq_hot_backup` there.", [Node])}.

-spec actor() -> rabbit_hot_backup_jobs:actor().
%% Who RabbitMQ takes users of its command line tools for.
actor() ->
    #{user => 'Elixir.RabbitMQ.CLI.Core.Helpers':cli_acting_user()}.

-spec start(options(), Function :: atom(), [term()]) ->
          {ok, job()} | {badrpc, term()} | failure().
%% Starts a job with a function of rabbit_hot_backup and, unless the options say otherwise, waits
%% for its end.
start(Options, Function, Arguments) ->
    case call(Options, rabbit_hot_backup, Function, Arguments) of
        {answer, {ok, Id}} ->
            case Options of
                #{wait := false} -> job(Options, Id);
                _ -> wait(Options, Id)
            end;
        {answer, {error, Error}} ->
            failure(Error);
        Other ->
            Other
    end.

-spec wait(options(), rabbit_hot_backup:job_id()) -> {ok, job()} | {badrpc, term()} | failure().
wait(#{timeout := Timeout} = Options, Id) ->
    Deadline = case Timeout of
                   infinity -> infinity;
                   _ -> now_milliseconds() + Timeout
               end,
    wait(Options, Id, Deadline, {none, 0}).

-spec wait(options(), rabbit_hot_backup:job_id(), integer() | infinity, Shown) ->
          {ok, job()} | {badrpc, term()} | failure()
              when Shown :: {Phase :: binary() | none | null, At :: integer()}.
wait(Options, Id, Deadline, Shown) ->
    case job(Options, Id) of
        {ok, #{state := State} = Job} when State =:= requested; State =:= running ->
            %% An atom is smaller than no number: `infinity` never is.
            case now_milliseconds() >= Deadline of
                true ->
                    {error, ?TEMPORARY, text("job ~b is still running on node ~ts; see "
                                             "`rabbitmqctl hot_backup_status`",
                                             [Id, maps:get(node, Options)])};
                false ->
                    Next = show_progress(Options, Job, Shown),
                    receive after ?GLANCE -> wait(Options, Id, Deadline, Next) end
            end;
        {ok, #{state := done} = Job} ->
            {ok, Job};
        {ok, #{error := #{code := _} = Error}} ->
            failure(Error);
        {ok, #{state := cancelled}} ->
            {error, ?SOFTWARE, text("job ~b was cancelled", [Id])};
        Other ->
            Other
    end.

-spec job(options(), rabbit_hot_backup:job_id()) -> {ok, job()} | {badrpc, term()} | failure().
job(Options, Id) ->
    case call(Options, rabbit_hot_backup, job, [Id]) of
        {answer, {ok, Job}} -> {ok, rabbit_hot_backup_json:job(Job)};
        {answer, error} -> {error, ?SOFTWARE, text("node ~ts does not know job ~b any more",
                                                   [maps:get(node, Options), Id])};
        Other -> Other
    end.

-spec show_progress(options(), job(), {binary() | none | null, integer()}) ->
          {binary() | none | null, integer()}.
%% A line for each phase and every few seconds, beside the result: also a log file can hold that.
show_progress(Options, #{phase := Phase} = Job, {ShownPhase, At} = Shown) ->
    Now = now_milliseconds(),
    Quiet = is_json(Options) orelse maps:get(quiet, Options, false)
        orelse maps:get(silent, Options, false),
    case not Quiet andalso Phase =/= null
        andalso (Phase =/= ShownPhase orelse Now - At >= ?REPORT) of
        true ->
            io:put_chars(standard_error, [Phase, progress(Job), "\n"]),
            {Phase, Now};
        false ->
            Shown
    end.

-spec progress(job()) -> iodata().
progress(#{bytes_done := Done, bytes_total := Total, seconds_remaining := Seconds}) ->
    [[": ", size_text(Done)] || is_integer(Done), Done > 0]
        ++ [[" of ", size_text(Total)] || is_integer(Total), Total > 0]
        ++ [[", ", integer_to_list(Seconds), " s left"] || is_integer(Seconds)].

-spec is_json(options()) -> boolean().
is_json(#{formatter := Formatter}) ->
    unicode:characters_to_binary(Formatter) =:= <<"json">>;
is_json(_) ->
    false.

-spec json(term()) -> term().
%% As Elixir has it: `nil` is the JSON value null.
json(null) -> nil;
json(Map) when is_map(Map) -> maps:map(fun(_, Value) -> json(Value) end, Map);
json(List) when is_list(List) -> [json(Value) || Value <- List];
json(Other) -> Other.

-spec failure(rabbit_hot_backup:error()) -> failure().
failure(#{code := Code} = Error) ->
    {error, exit_code(Code), iolist_to_binary(rabbit_hot_backup_protocol:format_error(Error))}.

-spec exit_code(rabbit_hot_backup_protocol:error_code()) -> pos_integer().
exit_code(usage) -> ?USAGE;
exit_code(not_found) -> ?NO_INPUT;
exit_code(damaged) -> ?DATA_ERROR;
exit_code(busy) -> ?TEMPORARY;
exit_code(locked) -> ?TEMPORARY;
exit_code(_) -> ?SOFTWARE.

-spec size_text(non_neg_integer()) -> iodata().
%% As the program prints it: decimal units.
size_text(Bytes) when Bytes < 1000 -> [integer_to_list(Bytes), " B"];
size_text(Bytes) -> size_text(Bytes / 1000, ["kB", "MB", "GB", "TB", "PB"]).

-spec size_text(float(), [string()]) -> iodata().
size_text(Size, [_ | Larger]) when Size >= 999.95, Larger =/= [] -> size_text(Size / 1000, Larger);
size_text(Size, [Unit | _]) -> [float_to_binary(Size, [{decimals, 1}]), " ", Unit].

-spec text(io:format(), [term()]) -> binary().
text(Format, Arguments) ->
    unicode:characters_to_binary(io_lib:format(Format, Arguments)).

-spec now_milliseconds() -> integer().
now_milliseconds() ->
    erlang:monotonic_time(millisecond).

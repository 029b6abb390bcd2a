%% The tasks of this node. Nothing restarts one: whoever wanted it hears that it has failed.
-module(rabbit_hot_backup_task_sup).

-behaviour(supervisor).

-export([start_link/0, start_task/2]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec start_task(rabbit_hot_backup_jobs:order(), Arguments :: [iodata()]) ->
          {ok, rabbit_hot_backup_jobs:id()} | {error, rabbit_hot_backup_protocol:error()}.
%% Runs the program with these arguments. Returns as soon as it has been started.
start_task(Order, Arguments) ->
    Reference = make_ref(),
    case supervisor:start_child(?MODULE, [Order, Arguments, {self(), Reference}]) of
        {ok, _} -> receive {Reference, Job} -> {ok, Job} end;
        {error, {shutdown, #{code := _} = Error}} -> {error, Error};
        {error, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "a task could not be started: ~tp", [Reason])}
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Child = #{id => task,
              start => {rabbit_hot_backup_task, start_link, []},
              restart => temporary,
              shutdown => 15000},
    {ok, {#{strategy => simple_one_for_one}, [Child]}}.

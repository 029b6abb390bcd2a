%% The deliveries of this node, one for each queue that an engine brings messages to.
%%
%% A delivery outlives the session that began it, so that an engine that was cut off can ask how
%% far it came. Nothing restarts one: what it knew of its messages is gone with it.
-module(rabbit_hot_backup_delivery_sup).

-behaviour(supervisor).

-export([start_link/0, start_delivery/3, end_delivery/1, find_delivery/1]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec start_delivery(rabbit_hot_backup_delivery:key(), Session :: pid(),
                     rabbit_hot_backup_delivery:memory()) ->
          {ok, pid()} | {error, rabbit_hot_backup_protocol:error()}.
start_delivery(Key, Session, Memory) ->
    Child = #{id => Key,
              start => {rabbit_hot_backup_delivery, start_link, [Key, Session, Memory]},
              restart => temporary,
              shutdown => 5000},
    case supervisor:start_child(?MODULE, Child) of
        {ok, Pid} when is_pid(Pid) -> {ok, Pid};
        {error, {shutdown, #{code := _} = Error}} -> {error, Error};
        {error, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "a delivery could not be started: ~tp", [Reason])}
    end.

-spec end_delivery(rabbit_hot_backup_delivery:key()) -> ok.
end_delivery(Key) ->
    %% It may have ended by itself.
    _ = supervisor:terminate_child(?MODULE, Key),
    ok.

-spec find_delivery(rabbit_hot_backup_delivery:key()) -> {ok, pid()} | error.
find_delivery(Key) ->
    case lists:keyfind(Key, 1, supervisor:which_children(?MODULE)) of
        {_, Pid, _, _} when is_pid(Pid) -> {ok, Pid};
        _ -> error
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => one_for_one}, []}}.

%% Sessions, one for each peer. Nothing restarts them: the port manager starts a new program, and a
%% command line attaches again by itself.
-module(rabbit_hot_backup_session_sup).

-behaviour(supervisor).

-export([start_link/0, start_session/1]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec start_session(rabbit_hot_backup_session:options()) ->
          {ok, pid()} | {error, rabbit_hot_backup_protocol:error()}.
start_session(Options) ->
    case supervisor:start_child(?MODULE, [Options]) of
        {ok, Session} when is_pid(Session) -> {ok, Session};
        {error, {shutdown, #{code := _} = Error}} -> {error, Error};
        {error, Reason} ->
            {error, rabbit_hot_backup_protocol:error(
                      failed, "a session could not be started: ~tp", [Reason])}
    end.

%% A session that ends gives its program a few seconds to leave before it is killed
%% (rabbit_hot_backup_carrier:close/2): the shutdown time is longer than that.
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Session = #{id => session,
                start => {rabbit_hot_backup_session, start_link, []},
                restart => temporary,
                shutdown => 15000},
    {ok, {#{strategy => simple_one_for_one}, [Session]}}.

%% Has the program of this node make a backup.
-module(rabbit_hot_backup_order).

-export([request/2]).

%% How long the program may take to accept a backup; it answers before it begins.
-define(ACCEPT, 30000).
%% And how long it may then take to begin it.
-define(BEGIN, 30000).

-spec request(rabbit_hot_backup_jobs:order(), rabbit_hot_backup_protocol:details()) ->
          {ok, Session :: pid(), rabbit_hot_backup_jobs:id()}
        | {error, rabbit_hot_backup_protocol:error()}.
%% Takes the slot for it and returns as soon as the program has accepted.
request(Order, Arguments) ->
    case rabbit_hot_backup_port:session() of
        {ok, Session} ->
            case rabbit_hot_backup_jobs:request(Session, Order, ?ACCEPT + ?BEGIN) of
                {ok, Id} -> accepted(Session, Id, Arguments#{job => Id});
                {error, Error} -> {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec accepted(pid(), rabbit_hot_backup_jobs:id(), rabbit_hot_backup_protocol:details()) ->
          {ok, pid(), rabbit_hot_backup_jobs:id()} | {error, rabbit_hot_backup_protocol:error()}.
accepted(Session, Id, Arguments) ->
    case rabbit_hot_backup_session:request(Session, backup, Arguments, ?ACCEPT) of
        {ok, _} ->
            {ok, Session, Id};
        {error, Error} ->
            ok = rabbit_hot_backup_jobs:fail(Id, Error),
            {error, Error}
    end.

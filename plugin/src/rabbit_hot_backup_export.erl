%% A process that has all that Khepri's store held at one moment, and gives it away as fast as it is
%% taken.
%%
%% The store's server stands still while its content is copied into this process, and no longer:
%% what takes time, encoding and waiting for an engine, is done here. The process ends with the
%% session that it is for.
-module(rabbit_hot_backup_export).

-export([start/2, stop/1, has_asked/1, await/2, read/2]).

-export_type([export/0, condition/0]).

-type export() :: pid().

-type condition() :: fun(() -> boolean()).
%% Whether the content is wanted. It is called inside the store's server, which waits for it.

%% How long the store may be busy with other things.
-define(ANSWER, 60000).

-spec start(Owner :: pid(), condition()) -> export().
%% Asks the store for its content. The result is for await/2, and for the caller only. One that is
%% gone by then gets none.
start(Owner, Condition) ->
    Caller = self(),
    %% Until it has the content others may wait for it to get its turn.
    spawn_opt(fun() -> init(Owner, Caller, Condition) end, [{priority, high}]).

-spec stop(export()) -> ok.
%% Also of what is stopped already. The store may still come to the question: it copies nothing for
%% a process that is gone.
stop(Export) ->
    exit(Export, kill),
    ok.

-spec has_asked(export()) -> boolean().
%% Whether the question is in the mailbox of the store's server. The process waits for the first
%% time when it is.
has_asked(Export) ->
    process_info(Export, status) =:= {status, waiting}.

-spec await(export(), timeout()) -> {ok, Index :: non_neg_integer()} | {error, term()}.
%% The index of the last change that is in it.
await(Export, Timeout) ->
    Monitor = erlang:monitor(process, Export),
    receive
        {exported, Export, Index} ->
            erlang:demonitor(Monitor, [flush]),
            {ok, Index};
        {'DOWN', Monitor, process, _, Reason} ->
            {error, Reason}
    after Timeout ->
            erlang:demonitor(Monitor, [flush]),
            {error, timeout}
    end.

-spec read(export(), rabbit_hot_backup_metadata:hand_over()) -> ok | {error, term()}.
%% Hands over all items; they can be read again.
read(Export, HandOver) ->
    Monitor = erlang:monitor(process, Export),
    Export ! {read, self(), Monitor, HandOver},
    receive
        {read, Monitor, Result} ->
            erlang:demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, _, Reason} ->
            {error, Reason}
    end.

-spec init(pid(), pid(), condition()) -> no_return().
init(Owner, Caller, Condition) ->
    Export = self(),
    Monitor = erlang:monitor(process, Owner),
    Question = fun(State) ->
                       case Condition() andalso lists:all(fun is_process_alive/1, [Export, Caller])
                       of
                           true -> {content, rabbit_hot_backup_khepri:content(State)};
                           false -> not_wanted
                       end
               end,
    case rabbit_hot_backup_khepri:query(Question, ?ANSWER) of
        {ok, Index, {content, Content}} ->
            Caller ! {exported, self(), Index},
            _ = process_flag(priority, normal),
            serve(Content, Monitor);
        {ok, _, not_wanted} -> exit(not_wanted);
        {error, Reason} -> exit(Reason)
    end.

-spec serve(rabbit_hot_backup_khepri:content(), Owner :: reference()) -> no_return().
serve(Content, Owner) ->
    receive
        {read, Reader, Reference, HandOver} ->
            Reader ! {read, Reference, rabbit_hot_backup_metadata:run({khepri, Content}, HandOver)},
            serve(Content, Owner);
        {'DOWN', Owner, process, _, _} ->
            exit(normal)
    end.

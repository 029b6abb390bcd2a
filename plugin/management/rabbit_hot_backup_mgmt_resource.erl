%% The way of a request through cowboy_rest, for all resources of the API but the downloads.
%%
%% A resource is `{Family, Name}`. The family is a module with two functions:
%%   methods(Name): the methods that the resource has, as `<<"GET">>`, ...;
%%   answer(Method, Name, Request): what it has to say, a rabbit_hot_backup_mgmt_reply:answer().
%% Whoever gets as far as answer/3 is an administrator: a backup has all vhosts and password hashes.
-module(rabbit_hot_backup_mgmt_resource).

-export([init/2, known_methods/2, allowed_methods/2, is_authorized/2, content_types_provided/2,
         content_types_accepted/2, delete_resource/2, answer/2]).

-export_type([request/0]).

-type request() :: #{bindings := #{atom() => binary()},
                     query := [{binary(), binary() | true}],
                     body := #{binary() => term()},
                     actor := rabbit_hot_backup_jobs:actor()}.
%% `body` is empty when the request has none.

-type result(Value) :: {Value, map(), rabbit_hot_backup_mgmt_compat:context()}.

%% A body has at most this many bytes. The longest names some hundred queues.
-define(LONGEST_BODY, 256 * 1024).

-spec init(map(), {module(), atom()}) ->
          {cowboy_rest, map(), rabbit_hot_backup_mgmt_compat:context()}.
init(Req, Resource) ->
    {cowboy_rest, rabbit_hot_backup_mgmt_compat:with_common_headers(Req, ?MODULE),
     rabbit_hot_backup_mgmt_compat:context(Resource)}.

-spec known_methods(map(), rabbit_hot_backup_mgmt_compat:context()) -> result([binary()]).
%% All: allowed_methods/2 refuses what does not make sense, with a body.
known_methods(Req, Context) ->
    {[cowboy_req:method(Req)], Req, Context}.

-spec allowed_methods(map() | undefined, rabbit_hot_backup_mgmt_compat:context() | undefined) ->
          result([binary()] | stop).
%% Without a request: those that another origin may use at all.
allowed_methods(undefined, undefined) ->
    {[<<"HEAD">>, <<"GET">>, <<"POST">>, <<"PUT">>, <<"DELETE">>, <<"OPTIONS">>], #{},
     rabbit_hot_backup_mgmt_compat:context(none)};
allowed_methods(Req, Context) ->
    {Family, Name} = rabbit_hot_backup_mgmt_compat:resource(Context),
    rabbit_hot_backup_mgmt_reply:allow(Family:methods(Name), Req, Context).

-spec is_authorized(map(), rabbit_hot_backup_mgmt_compat:context()) ->
          result(true | {false, iodata()} | stop).
is_authorized(Req, Context) ->
    rabbit_hot_backup_mgmt_compat:is_authorized_admin(Req, Context).

-spec content_types_provided(map(), rabbit_hot_backup_mgmt_compat:context()) ->
          result([{binary(), answer}]).
content_types_provided(Req, Context) ->
    {[{<<"application/json">>, answer}], Req, Context}.

-spec content_types_accepted(map(), rabbit_hot_backup_mgmt_compat:context()) ->
          result([{'*', answer}]).
content_types_accepted(Req, Context) ->
    {[{'*', answer}], Req, Context}.

-spec delete_resource(map(), rabbit_hot_backup_mgmt_compat:context()) -> result(stop).
delete_resource(Req, Context) ->
    answer(Req, Context).

-spec answer(map(), rabbit_hot_backup_mgmt_compat:context()) -> result(stop).
answer(Req0, Context) ->
    {Family, Name} = rabbit_hot_backup_mgmt_compat:resource(Context),
    %% A plan or a deletion may take longer than cowboy lets a connection be silent. The program has
    %% a time limit.
    ok = rabbit_hot_backup_mgmt_compat:allow_silence(Req0),
    {Body, Req} = read_body(Req0),
    Answer = case Body of
                 {ok, Object} ->
                     Family:answer(method(Req), Name,
                                   #{bindings => cowboy_req:bindings(Req),
                                     query => cowboy_req:parse_qs(Req),
                                     body => Object,
                                     actor => rabbit_hot_backup_mgmt_compat:actor(Req, Context)});
                 {error, Error} ->
                     {error, Error}
             end,
    {stop, rabbit_hot_backup_mgmt_reply:send(Answer, Req), Context}.

-spec method(map()) -> get | post | put | delete.
method(Req) ->
    case cowboy_req:method(Req) of
        <<"GET">> -> get;
        <<"HEAD">> -> get;
        <<"POST">> -> post;
        <<"PUT">> -> put;
        <<"DELETE">> -> delete
    end.

-spec read_body(map()) ->
          {{ok, map()} | {error, rabbit_hot_backup_protocol:error()}, map()}.
read_body(Req0) ->
    case cowboy_req:read_body(Req0, #{length => ?LONGEST_BODY}) of
        {ok, <<>>, Req} ->
            {{ok, #{}}, Req};
        {ok, Body, Req} ->
            {rabbit_hot_backup_mgmt_body:decode(Body), Req};
        {more, _, Req} ->
            {{error, rabbit_hot_backup_protocol:error(
                       usage, "the body of the request is longer than ~b bytes",
                       [?LONGEST_BODY])}, Req}
    end.

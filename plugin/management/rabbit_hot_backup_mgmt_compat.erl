%% All that the HTTP API uses of RabbitMQ's management plugin: its records, its authorization, its
%% headers. What is called here is the same from 3.8 to 4.3.
-module(rabbit_hot_backup_mgmt_compat).

-export([context/1, resource/1, actor/2]).
-export([with_common_headers/2, is_authorized_admin/2, api_path/1, encode/1]).

-export_type([context/0]).

%% Those of rabbit_mgmt_records.hrl and rabbit.hrl, without a need for these files.
-record(context, {user, password = none, impl}).
-record(user, {username, tags, authz_backends}).

-opaque context() :: #context{}.
%% What the management plugin hands along with a request.

-type request() :: map().
%% A cowboy_req:req().

-spec context(Resource :: term()) -> context().
context(Resource) ->
    #context{impl = Resource}.

-spec resource(context()) -> term().
resource(#context{impl = Resource}) ->
    Resource.

-spec actor(request(), context()) -> rabbit_hot_backup_jobs:actor().
%% Who is authorized.
actor(Request, #context{user = #user{username = User}}) ->
    {Address, _} = cowboy_req:peer(Request),
    #{user => User, address => list_to_binary(inet:ntoa(Address))}.

-spec with_common_headers(request(), Handler :: module()) -> request().
%% For CORS it asks the handler for its `allowed_methods(undefined, undefined)`.
with_common_headers(Request, Handler) ->
    rabbit_mgmt_headers:set_common_permission_headers(Request, Handler).

-spec is_authorized_admin(request(), context()) ->
          {true | {false, iodata()} | stop, request(), context()}.
%% An answer of cowboy_rest's is_authorized/2.
is_authorized_admin(Request, Context) ->
    rabbit_mgmt_util:is_authorized_admin(Request, Context).

-spec api_path(iodata()) -> binary().
%% The whole path of one below /api.
api_path(Path) ->
    iolist_to_binary([rabbit_mgmt_util:get_path_prefix(), "/api", Path]).

-spec encode(term()) -> iodata().
%% Maps become objects and `null` the JSON value.
encode(Json) ->
    rabbit_json:encode(Json).

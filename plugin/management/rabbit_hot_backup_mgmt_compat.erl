%% All that the HTTP API uses of RabbitMQ's management plugin: its records, its authorization, its
%% headers. What is called here is the same from 3.8 to 4.3 unless a comment says otherwise.
-module(rabbit_hot_backup_mgmt_compat).

-export([context/1, resource/1, actor/2]).
-export([with_common_headers/2, is_authorized_admin/2, api_path/1, encode/1]).
-export([allow_silence/1, send_part/2]).

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

-spec allow_silence(request()) -> ok.
%% Else cowboy ends a connection on which nothing comes in for a minute. Its cast/2 is there from
%% cowboy 2.7 on; before, this is how its own code tells a connection of something.
allow_silence(#{pid := Connection, streamid := Stream} = Request) ->
    Options = {set_options, #{idle_timeout => infinity}},
    case rabbit_hot_backup_compat:has(cowboy_req, cast, 2) of
        true ->
            cowboy_req:cast(Options, Request);
        false ->
            Connection ! {{Connection, Stream}, Options},
            ok
    end.

-spec send_part(iodata(), request()) -> ok.
%% Of a body that is streamed. Returns when the connection has little of it left to send: before
%% cowboy 2.8 it would take whatever comes into its mailbox.
send_part(Bytes, #{pid := Connection} = Request) ->
    ok = cowboy_req:stream_body(Bytes, nofin, Request),
    case rabbit_hot_backup_compat:has(cowboy_req, cast, 2) of
        true -> ok;
        false -> wait_until_taken(Connection)
    end.

-spec wait_until_taken(pid()) -> ok.
%% Who works off a part has it in its mailbox no more. One that is gone ends this process, too.
wait_until_taken(Connection) ->
    case process_info(Connection, message_queue_len) of
        {message_queue_len, Waiting} when Waiting > 0 ->
            receive after 2 -> wait_until_taken(Connection) end;
        _ ->
            ok
    end.

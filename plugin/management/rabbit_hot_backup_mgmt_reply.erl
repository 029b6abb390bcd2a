%% Answers of the API, and how they are sent: status, headers, JSON. Errors have the form of the
%% management plugin's: `{"error": ..., "reason": ...}`.
-module(rabbit_hot_backup_mgmt_reply).

-export([allow/3, send/2]).

-export_type([answer/0]).

-type answer() :: {ok, json()}
                | {ok_text, Json :: iodata()}
                | {created, Path :: iodata(), json()}
                | accepted
                | no_content
                | {unhealthy, json()}
                | {unauthorized, rabbit_hot_backup_protocol:error()}
                | {conflict, rabbit_hot_backup_protocol:error()}
                | {error, rabbit_hot_backup_protocol:error()}.
%% `ok_text`: JSON that is text already. `created`: the path is below /api. `conflict`: an error
%% that comes of the state of what the request is about.

-type json() :: term().

-spec allow([binary()], map(), Context) -> {[binary()] | stop, map(), Context}.
%% The answer of cowboy_rest's allowed_methods/2. What is not allowed is refused here, since
%% cowboy_rest would send no body.
allow(Methods, Req, Context) ->
    All = Methods ++ [<<"OPTIONS">>],
    Method = cowboy_req:method(Req),
    case lists:member(Method, All) of
        true ->
            {All, Req, Context};
        false ->
            Refused = cowboy_req:set_resp_header(<<"allow">>, lists:join(<<", ">>, All), Req),
            Error = rabbit_hot_backup_protocol:error(
                      usage, "the method ~ts is not allowed here", [Method]),
            {stop, send_error(405, <<"method_not_allowed">>, Error, Refused), Context}
    end.

-spec send(answer(), map()) -> map().
send({ok, Json}, Req) ->
    send_json(200, rabbit_hot_backup_mgmt_compat:encode(Json), Req);
send({ok_text, Json}, Req) ->
    send_json(200, Json, Req);
send({created, Path, Json}, Req) ->
    Location = rabbit_hot_backup_mgmt_compat:api_path(Path),
    send_json(201, rabbit_hot_backup_mgmt_compat:encode(Json),
              cowboy_req:set_resp_header(<<"location">>, Location, Req));
send(accepted, Req) ->
    cowboy_req:reply(202, Req);
send(no_content, Req) ->
    cowboy_req:reply(204, Req);
send({unhealthy, Json}, Req) ->
    send_json(503, rabbit_hot_backup_mgmt_compat:encode(Json), Req);
send({unauthorized, Error}, Req) ->
    send_error(401, <<"not_authorised">>, Error, Req);
send({conflict, Error}, Req) ->
    send_error(409, <<"conflict">>, Error, Req);
send({error, #{code := Code} = Error}, Req) ->
    {Status, Name} = status(Code),
    send_error(Status, Name, Error, Req).

-spec status(rabbit_hot_backup_protocol:error_code()) -> {100..599, Name :: binary()}.
status(usage) -> {400, <<"bad_request">>};
status(unsupported) -> {400, <<"bad_request">>};
status(not_found) -> {404, <<"not_found">>};
status(busy) -> {409, <<"conflict">>};
status(locked) -> {409, <<"conflict">>};
status(protected) -> {409, <<"conflict">>};
status(stalled) -> {503, <<"service_unavailable">>};
status(_) -> {500, <<"internal_server_error">>}.

-spec send_error(100..599, Name :: binary(), rabbit_hot_backup_protocol:error(), map()) -> map().
send_error(Status, Name, Error, Req) ->
    Reason = iolist_to_binary(rabbit_hot_backup_protocol:format_error(Error)),
    Json = rabbit_hot_backup_mgmt_compat:encode(#{error => Name, reason => Reason}),
    send_json(Status, Json, Req).

-spec send_json(100..599, iodata(), map()) -> map().
send_json(Status, Json, Req) ->
    cowboy_req:reply(Status, #{<<"content-type">> => <<"application/json">>,
                               <<"cache-control">> => <<"no-cache">>}, Json, Req).

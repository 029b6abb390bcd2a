%% Downloads: a ticket for one, and a backup as one tar.
%%
%% The request's own process pulls a frame from the program whenever the connection has taken the
%% last one: a slow client costs the broker some hundred KiB. When the client goes away the process
%% ends, and with it the program.
-module(rabbit_hot_backup_mgmt_download).

-export([init/2, known_methods/2, allowed_methods/2, is_authorized/2, content_types_provided/2,
         content_types_accepted/2, download/2, issue/2]).

-type context() :: rabbit_hot_backup_mgmt_compat:context().

-spec init(map(), term()) -> {cowboy_rest, map(), context()}.
init(Req, _) ->
    {cowboy_rest, rabbit_hot_backup_mgmt_compat:with_common_headers(Req, ?MODULE),
     rabbit_hot_backup_mgmt_compat:context(none)}.

-spec known_methods(map(), context()) -> {[binary()], map(), context()}.
%% All: allowed_methods/2 refuses what does not make sense, with a body.
known_methods(Req, Context) ->
    {[cowboy_req:method(Req)], Req, Context}.

-spec allowed_methods(map() | undefined, context() | undefined) ->
          {[binary()] | stop, map(), context()}.
%% Not HEAD: the answer would use up a ticket.
allowed_methods(undefined, undefined) ->
    {[<<"GET">>, <<"POST">>, <<"OPTIONS">>], #{}, rabbit_hot_backup_mgmt_compat:context(none)};
allowed_methods(Req, Context) ->
    rabbit_hot_backup_mgmt_reply:allow([<<"GET">>, <<"POST">>], Req, Context).

-spec is_authorized(map(), context()) -> {true | {false, iodata()} | stop, map(), context()}.
%% A ticket stands for who asked for it.
is_authorized(Req, Context) ->
    case {cowboy_req:method(Req), lists:keyfind(<<"ticket">>, 1, cowboy_req:parse_qs(Req))} of
        {<<"GET">>, {_, Ticket}} ->
            case rabbit_hot_backup_tickets:redeem(Ticket, cowboy_req:binding(id, Req)) of
                {ok, Actor} -> {true, Req, rabbit_hot_backup_mgmt_compat:context(Actor)};
                error -> {stop, refuse(Req), Context}
            end;
        _ ->
            authorized(rabbit_hot_backup_mgmt_compat:is_authorized_admin(Req, Context))
    end.

-spec authorized({true | {false, iodata()} | stop, map(), context()}) ->
          {true | {false, iodata()} | stop, map(), context()}.
authorized({true, Req, Context}) ->
    %% Everybody may ask for the OPTIONS, nobody in particular.
    case cowboy_req:method(Req) of
        <<"OPTIONS">> -> {true, Req, Context};
        _ -> {true, Req, rabbit_hot_backup_mgmt_compat:context(
                           rabbit_hot_backup_mgmt_compat:actor(Req, Context))}
    end;
authorized(Refused) ->
    Refused.

-spec refuse(map()) -> map().
refuse(Req) ->
    rabbit_hot_backup_mgmt_reply:send(
      {unauthorized, rabbit_hot_backup_protocol:error(
                       usage, "the ticket is not, or not any more, good for this download", [],
                       "Ask for another one.")}, Req).

-spec content_types_provided(map(), context()) -> {[{term(), download}], map(), context()}.
content_types_provided(Req, Context) ->
    {[{{<<"application">>, <<"x-tar">>, []}, download}], Req, Context}.

-spec content_types_accepted(map(), context()) -> {[{'*', issue}], map(), context()}.
content_types_accepted(Req, Context) ->
    {[{'*', issue}], Req, Context}.

-spec issue(map(), context()) -> {stop, map(), context()}.
issue(Req, Context) ->
    Id = cowboy_req:binding(id, Req),
    Answer = case rabbit_hot_backup_mgmt_backups:find(Id) of
                 {ok, _} -> ticket(Id, rabbit_hot_backup_mgmt_compat:resource(Context));
                 {error, Error} -> {error, Error}
             end,
    {stop, rabbit_hot_backup_mgmt_reply:send(Answer, Req), Context}.

-spec ticket(Id :: binary(), rabbit_hot_backup_jobs:actor()) ->
          rabbit_hot_backup_mgmt_reply:answer().
ticket(Id, Actor) ->
    Ticket = rabbit_hot_backup_tickets:issue(Id, Actor),
    Path = ["/hot-backup/backups/", Id, "/download?ticket=", Ticket],
    {created, Path, #{ticket => Ticket,
                      location => rabbit_hot_backup_mgmt_compat:api_path(Path),
                      expires_in => rabbit_hot_backup_tickets:lifetime()}}.

-spec download(map(), context()) -> {stop, map(), context()}.
download(Req, Context) ->
    Actor = rabbit_hot_backup_mgmt_compat:resource(Context),
    Opened = case rabbit_hot_backup_mgmt_backups:find(cowboy_req:binding(id, Req)) of
                 {ok, Backup} -> rabbit_hot_backup:download(Backup, Actor);
                 {error, NotFound} -> {error, NotFound}
             end,
    Sent = case Opened of
               {ok, Description, Archive} -> stream(Archive, begin_reply(Description, Req));
               {error, Error} -> rabbit_hot_backup_mgmt_reply:send({error, Error}, Req)
           end,
    {stop, Sent, Context}.

-spec begin_reply(rabbit_hot_backup_archive:description(), map()) -> map().
begin_reply(#{name := Name, bytes := Bytes}, Req) ->
    %% A download may take longer than a connection may be without a request. One whose client takes
    %% nothing for half a minute is ended by the time limit of the socket.
    ok = rabbit_hot_backup_mgmt_compat:allow_silence(Req),
    cowboy_req:stream_reply(
      200, #{<<"content-type">> => <<"application/x-tar">>,
             <<"content-length">> => integer_to_binary(Bytes),
             <<"content-disposition">> => ["attachment; filename=\"", Name, "\""],
             <<"cache-control">> => <<"no-store">>,
             %% Keeps cowboy from compressing it, which would take the length away.
             <<"content-encoding">> => <<"identity">>}, Req).

-spec stream(rabbit_hot_backup_archive:archive(), map()) -> map().
stream(Archive, Req) ->
    case rabbit_hot_backup_archive:next(Archive) of
        {more, Bytes, Rest} ->
            ok = rabbit_hot_backup_mgmt_compat:send_part(Bytes, Req),
            stream(Rest, Req);
        done ->
            ok = cowboy_req:stream_body(<<>>, fin, Req),
            Req;
        {error, Error} ->
            %% The connection is closed before the announced length: nobody takes it for whole.
            rabbit_hot_backup_compat:log(error, "a download ended early: ~ts",
                                         [rabbit_hot_backup_protocol:format_error(Error)]),
            Req
    end.

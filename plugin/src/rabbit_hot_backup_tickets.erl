%% Tickets for downloads: a browser that follows a link sends no credentials, so who is logged in
%% asks for a ticket first and puts it into the link.
%%
%% A ticket is good for one download of one backup within a minute. None survives the plugin.
-module(rabbit_hot_backup_tickets).

-behaviour(gen_server).

-export([start_link/0]).
-export([issue/2, redeem/2, lifetime/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-export_type([ticket/0]).

-type ticket() :: binary().
%% Characters that need no escaping in a URL.

-type tickets() :: #{ticket() => {Backup :: binary(), rabbit_hot_backup_jobs:actor(),
                                  Expires :: integer()}}.

%% In seconds.
-define(LIFETIME, 60).

-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

-spec issue(Backup :: binary(), rabbit_hot_backup_jobs:actor()) -> ticket().
issue(Backup, Actor) ->
    gen_server:call(?MODULE, {issue, Backup, Actor}).

-spec redeem(ticket(), Backup :: binary()) -> {ok, rabbit_hot_backup_jobs:actor()} | error.
%% Who it was issued to. Whatever comes of it, the ticket is used up.
redeem(Ticket, Backup) ->
    gen_server:call(?MODULE, {redeem, Ticket, Backup}).

-spec lifetime() -> pos_integer().
lifetime() ->
    ?LIFETIME.

-spec init([]) -> {ok, tickets()}.
init([]) ->
    {ok, #{}}.

-spec handle_call(term(), gen_server:from(), tickets()) -> {reply, term(), tickets()}.
handle_call({issue, Backup, Actor}, _, Tickets) ->
    Random = binary:decode_unsigned(crypto:strong_rand_bytes(24)),
    Ticket = integer_to_binary(Random, 36),
    {reply, Ticket, (valid(Tickets))#{Ticket => {Backup, Actor, now_seconds() + ?LIFETIME}}};
handle_call({redeem, Ticket, Backup}, _, Tickets) ->
    case maps:take(Ticket, valid(Tickets)) of
        {{Backup, Actor, _}, Others} -> {reply, {ok, Actor}, Others};
        {_, Others} -> {reply, error, Others};
        error -> {reply, error, Tickets}
    end.

-spec handle_cast(term(), tickets()) -> {noreply, tickets()}.
handle_cast(_, Tickets) ->
    {noreply, Tickets}.

-spec valid(tickets()) -> tickets().
valid(Tickets) ->
    Now = now_seconds(),
    maps:filter(fun(_, {_, _, Expires}) -> Expires > Now end, Tickets).

-spec now_seconds() -> integer().
now_seconds() ->
    erlang:monotonic_time(second).

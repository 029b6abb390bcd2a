%% The sending half of a stream: docs/protocol.md, "Streams and back-pressure". A value, without
%% effects.
%%
%% Payloads are taken in at one end. They leave at the other, numbered, as long as what is sent
%% and not yet acknowledged stays within the window; the others wait. Whoever hands in a payload
%% is told when it has left, so a source that waits for this holds at most one payload here,
%% whatever the table's size.
-module(rabbit_hot_backup_stream).

-export([new/1, id/1, add/4, acknowledge/2, finish/1, flush/1]).
-export([outstanding/1, is_ended/1, is_complete/1, waiting/1]).

-export_type([stream/0, handle/0]).

-type handle() :: term().
%% Whom to tell that a payload has left; the caller's own.

%% The payload that is sent and unacknowledged at most. One payload may be longer and then goes
%% alone.
-define(WINDOW, 1024 * 1024).

-record(stream, {id :: rabbit_hot_backup_protocol:stream_id(),
                 queue = queue:new() :: queue:queue({binary(), handle()}),
                 sent = queue:new() :: queue:queue({rabbit_hot_backup_protocol:sequence(),
                                                    pos_integer()}),
                 outstanding = 0 :: non_neg_integer(),
                 next = 0 :: rabbit_hot_backup_protocol:sequence(),
                 bytes = 0 :: non_neg_integer(),
                 items = 0 :: non_neg_integer(),
                 %% `finished`: the source has given everything; `ended`: the peer was told so.
                 state = open :: open | finished | ended}).

-opaque stream() :: #stream{}.

-spec new(rabbit_hot_backup_protocol:stream_id()) -> stream().
new(Id) ->
    #stream{id = Id}.

-spec id(stream()) -> rabbit_hot_backup_protocol:stream_id().
id(#stream{id = Id}) ->
    Id.

-spec add(binary(), Items :: pos_integer(), handle(), stream()) -> stream().
add(Payload, Items, Handle, #stream{state = open, queue = Queue, items = Before} = Stream) ->
    Stream#stream{queue = queue:in({Payload, Handle}, Queue), items = Before + Items}.

-spec finish(stream()) -> stream().
%% The source has given everything.
finish(#stream{state = open} = Stream) ->
    Stream#stream{state = finished}.

-spec acknowledge(rabbit_hot_backup_protocol:sequence(), stream()) ->
          {ok, stream()} | {error, rabbit_hot_backup_protocol:error()}.
%% All payloads up to the given one are consumed.
acknowledge(Sequence, #stream{next = Next}) when Sequence >= Next ->
    {error, rabbit_hot_backup_protocol:error(
              failed, "the program acknowledged message ~b of a stream of ~b", [Sequence, Next])};
acknowledge(Sequence, #stream{sent = Sent, outstanding = Outstanding} = Stream) ->
    case queue:peek(Sent) of
        {value, {First, Size}} when First =< Sequence ->
            acknowledge(Sequence, Stream#stream{sent = queue:drop(Sent),
                                                outstanding = Outstanding - Size});
        _ ->
            {ok, Stream}
    end.

-spec flush(stream()) -> {[rabbit_hot_backup_protocol:message()], [handle()], stream()}.
%% What may be sent now, and whose payloads that are. Behind the last payload comes the stream's
%% end.
flush(Stream) ->
    flush(Stream, [], []).

-spec flush(stream(), [rabbit_hot_backup_protocol:message()], [handle()]) ->
          {[rabbit_hot_backup_protocol:message()], [handle()], stream()}.
flush(#stream{id = Id, queue = Queue, state = State} = Stream, Messages, Handles) ->
    case queue:out(Queue) of
        {{value, {Payload, Handle}}, Others} ->
            case fits(byte_size(Payload), Stream) of
                true ->
                    Message = {data, Id, Stream#stream.next, Payload},
                    flush(count(byte_size(Payload), Stream#stream{queue = Others}),
                          [Message | Messages], [Handle | Handles]);
                false ->
                    {lists:reverse(Messages), lists:reverse(Handles), Stream}
            end;
        {empty, _} when State =:= finished ->
            End = {stream_end, Id, #{messages => Stream#stream.next,
                                     bytes => Stream#stream.bytes,
                                     items => Stream#stream.items}},
            {lists:reverse(Messages, [End]), lists:reverse(Handles), Stream#stream{state = ended}};
        {empty, _} ->
            {lists:reverse(Messages), lists:reverse(Handles), Stream}
    end.

-spec fits(non_neg_integer(), stream()) -> boolean().
fits(_, #stream{outstanding = 0}) -> true;
fits(Size, #stream{outstanding = Outstanding}) -> Outstanding + Size =< ?WINDOW.

-spec count(pos_integer(), stream()) -> stream().
count(Size, #stream{next = Next, sent = Sent, outstanding = Outstanding, bytes = Bytes} = Stream) ->
    Stream#stream{next = Next + 1,
                  sent = queue:in({Next, Size}, Sent),
                  outstanding = Outstanding + Size,
                  bytes = Bytes + Size}.

-spec outstanding(stream()) -> non_neg_integer().
%% Bytes of payload that are sent and not acknowledged.
outstanding(#stream{outstanding = Outstanding}) ->
    Outstanding.

-spec is_ended(stream()) -> boolean().
%% Whether the peer was sent everything, the end included.
is_ended(#stream{state = State}) ->
    State =:= ended.

-spec is_complete(stream()) -> boolean().
%% Whether the peer has acknowledged everything too.
is_complete(#stream{state = State, outstanding = Outstanding}) ->
    State =:= ended andalso Outstanding =:= 0.

-spec waiting(stream()) -> [handle()].
%% Whose payloads have not left.
waiting(#stream{queue = Queue}) ->
    [Handle || {_, Handle} <- queue:to_list(Queue)].

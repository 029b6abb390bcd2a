%% The messages of docs/protocol.md: their shapes, their bytes, and the errors they carry.
%%
%% Nothing else in the plugin knows what a message looks like on the wire. What a peer sends is
%% checked here, once: a session only ever sees messages of the grammar.
-module(rabbit_hot_backup_protocol).

%% Messages.
-export([encode/1, decode/1, check/1]).

%% Frames of the stdio carrier.
-export([frame/1, unframe/1]).

%% Versions.
-export([versions/0, agree/1]).

%% Errors.
-export([error/2, error/3, error/4, known_error/1, format_error/1]).

-compile({no_auto_import, [error/2, error/3]}).

-export_type([version/0, id/0, stream_id/0, sequence/0, message/0, incoming/0, details/0,
              error_code/0, error/0]).

-type version() :: non_neg_integer().
-type id() :: non_neg_integer().
-type stream_id() :: non_neg_integer().
-type sequence() :: non_neg_integer().

-type details() :: #{atom() => term()}.
%% Arguments, results and the like. Keys that this node has no atom for are left out when a message
%% is read: the receiver ignores what it does not know.

-type message() ::
        {hello, [version()], details()}
      | {request, id(), Milliseconds :: non_neg_integer(), Operation :: atom(), details()}
      | {reply, id(), ok, details()}
      | {reply, id(), error, error()}
      | {notice, Topic :: atom(), details()}
      | {data, stream_id(), sequence(), Payload :: binary()}
      | {stream_end, stream_id(), details()}
      | {stream_abort, stream_id(), error()}.
%% What the plugin sends.

-type incoming() ::
        {hello, [version()], details()}
      | {request, id(), Milliseconds :: non_neg_integer(),
         Operation :: atom() | {unknown, binary()}, details()}
      | {reply, id(), ok, details()}
      | {reply, id(), error, error()}
      | {notice, Topic :: atom() | {unknown, binary()}, details()}
      | {ack, stream_id(), sequence()}.
%% What an engine may send.

-type error_code() :: failed | busy | locked | unsupported | cancelled | mismatch | stalled
                    | usage | damaged | not_found | protected.
%% Those of the second line come from programs that are run once, never over the protocol.

-type error() :: #{code := error_code(), message := binary(), hint := binary()}.
%% What happened (in lower case, without a full stop) and what the operator can do about it (a
%% sentence, or empty). The plugin's functions return the same map in `{error, Error}`.

%% An engine only sends small messages: the data flows the other way. This bounds what a
%% broken program can make the broker hold, long before the protocol's limit of 160 MiB.
-define(LONGEST_INCOMING, 1024 * 1024).

%% ------------------------------------------------------------------
%% Messages

-spec encode(message()) -> iodata().
%% The payload of a data message is not copied: it stays a part of the vector.
encode(Message) ->
    erlang:term_to_iovec(Message, [{minor_version, 2}]).

-spec decode(binary()) -> {ok, incoming()} | {error, error()}.
decode(Bytes) ->
    case rabbit_hot_backup_term:decode(Bytes) of
        {ok, Term} -> check(Term);
        error -> {error, error(failed, "the program sent bytes that are not a message")}
    end.

-spec check(term()) -> {ok, incoming()} | {error, error()}.
%% Whether a term is a message that an engine may send. The distribution carrier brings terms.
check({hello, Versions, Info}) when is_list(Versions), is_map(Info) ->
    case is_list_of_integers(Versions) of
        true -> {ok, {hello, Versions, known(Info)}};
        false -> not_a_message(hello)
    end;
check({request, Id, Milliseconds, Operation, Arguments})
  when is_integer(Id), Id >= 0, is_integer(Milliseconds), Milliseconds >= 0, is_map(Arguments) ->
    named(Operation, {request, Id, Milliseconds, Operation, known(Arguments)});
check({reply, Id, ok, Result}) when is_integer(Id), Id >= 0, is_map(Result) ->
    {ok, {reply, Id, ok, known(Result)}};
check({reply, Id, error, Error}) when is_integer(Id), Id >= 0, is_map(Error) ->
    {ok, {reply, Id, error, known_error(Error)}};
check({notice, Topic, Details}) when is_map(Details) ->
    named(Topic, {notice, Topic, known(Details)});
check({ack, Stream, Sequence})
  when is_integer(Stream), Stream >= 0, is_integer(Sequence), Sequence >= 0 ->
    {ok, {ack, Stream, Sequence}};
check(Term) when is_tuple(Term), tuple_size(Term) > 0, is_atom(element(1, Term)) ->
    not_a_message(element(1, Term));
check(_) ->
    not_a_message(term).

-spec named(term(), incoming()) -> {ok, incoming()} | {error, error()}.
named(Name, Message) when is_atom(Name) -> {ok, Message};
named({unknown, Name}, Message) when is_binary(Name) -> {ok, Message};
named(_, Message) -> not_a_message(element(1, Message)).

-spec not_a_message(atom()) -> {error, error()}.
not_a_message(Tag) ->
    {error, error(failed, "the program sent a message that the protocol does not have (~ts)",
                  [Tag])}.

-spec is_list_of_integers(term()) -> boolean().
is_list_of_integers([Integer | Others]) when is_integer(Integer), Integer >= 0 ->
    is_list_of_integers(Others);
is_list_of_integers(Other) ->
    Other =:= [].

-spec known(map()) -> details().
known(Map) ->
    maps:filter(fun(Key, _) -> is_atom(Key) end, Map).

-spec known_error(map()) -> error().
%% An error of a newer engine may have a code of its own; for us it is then simply a failure.
known_error(#{message := Message} = Error) when is_binary(Message) ->
    Code = case Error of
               #{code := Known} when Known =:= busy; Known =:= locked; Known =:= unsupported;
                                     Known =:= cancelled; Known =:= mismatch;
                                     Known =:= stalled -> Known;
               _ -> failed
           end,
    Hint = case Error of
               #{hint := Text} when is_binary(Text) -> Text;
               _ -> <<>>
           end,
    #{code => Code, message => Message, hint => Hint};
known_error(_) ->
    error(failed, "the program gave no reason").

%% ------------------------------------------------------------------
%% Frames

-spec frame(message()) -> iodata().
frame(Message) ->
    Bytes = encode(Message),
    [<<(iolist_size(Bytes)):32>> | Bytes].

-spec unframe(binary()) -> {[incoming()], Rest :: binary()} | {error, error()}.
%% The messages that are complete, and the bytes of the one that is not. The length is judged as
%% soon as it is there: with Erlang's own `{packet, 4}` a program that prints text would make the
%% VM allocate whatever its first four letters happen to say.
unframe(Bytes) ->
    unframe(Bytes, []).

-spec unframe(binary(), [incoming()]) -> {[incoming()], binary()} | {error, error()}.
unframe(<<Length:32, _/binary>>, _) when Length > ?LONGEST_INCOMING ->
    {error, error(failed, "the program sent bytes that are not a message (~b bytes announced)",
                  [Length])};
unframe(<<Length:32, Bytes:Length/binary, Rest/binary>>, Messages) ->
    case decode(Bytes) of
        {ok, Message} -> unframe(Rest, [Message | Messages]);
        {error, Error} -> {error, Error}
    end;
unframe(Rest, Messages) ->
    {lists:reverse(Messages), binary:copy(Rest)}.

%% ------------------------------------------------------------------
%% Versions

-spec versions() -> [version()].
%% Every version that this plugin knows, highest first.
versions() ->
    [1].

-spec agree([version()]) -> {ok, version()} | {error, error()}.
%% The highest version that both sides know.
agree(Theirs) ->
    Ours = versions(),
    case [Version || Version <- Ours, lists:member(Version, Theirs)] of
        [Highest | _] -> {ok, Highest};
        [] ->
            Older = case Theirs =:= [] orelse lists:max(Theirs) < hd(Ours) of
                        true -> "Upgrade the program rabbitmq-hot-backup.";
                        false -> "Upgrade the plugin rabbitmq_hot_backup."
                    end,
            {error, error(mismatch, "the program speaks the protocol versions ~w, the plugin ~w",
                          [Theirs, Ours], Older)}
    end.

%% ------------------------------------------------------------------
%% Errors

-spec error(error_code(), string()) -> error().
error(Code, Message) ->
    error(Code, Message, []).

-spec error(error_code(), io:format(), [term()]) -> error().
error(Code, Format, Arguments) ->
    error(Code, Format, Arguments, "").

-spec error(error_code(), io:format(), [term()], string()) -> error().
error(Code, Format, Arguments, Hint) ->
    #{code => Code, message => text(Format, Arguments), hint => text("~ts", [Hint])}.

-spec text(io:format(), [term()]) -> binary().
%% Reasons of the VM can be as large as a whole state: what does not help to understand is cut.
text(Format, Arguments) ->
    unicode:characters_to_binary(io_lib:format(Format, Arguments, [{chars_limit, 1000}])).

-spec format_error(error()) -> iodata().
%% One line for the log, of whole sentences.
format_error(#{message := Message, hint := <<>>}) -> [Message, "."];
format_error(#{message := Message, hint := Hint}) -> [Message, ". ", Hint].

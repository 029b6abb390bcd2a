%% Reads external terms that may name atoms this node has never seen.
%%
%% binary_to_term/2 with `safe` refuses a whole message for one unknown atom, so a newer engine
%% that adds a key to a map or asks for a new operation would lose its session instead of getting
%% the key ignored or the operation refused by name. And without `safe` every atom that a peer
%% invents stays in the node's atom table for ever. This reader creates no atom: an unknown one
%% becomes `{unknown, Name}`.
%%
%% It reads what docs/protocol.md lets an engine send: integers, floats, atoms, binaries, lists,
%% tuples and maps. Identifiers, funs, bit strings and compressed terms are refused.
-module(rabbit_hot_backup_term).

-export([decode/1]).

-spec decode(binary()) -> {ok, term()} | error.
decode(<<131, External/binary>>) ->
    try term(External) of
        {Term, <<>>} -> {ok, Term};
        {_, _} -> error
    catch
        error:_ -> error
    end;
decode(_) ->
    error.

-spec term(binary()) -> {term(), binary()}.
term(<<97, Value, Rest/binary>>) -> {Value, Rest};
term(<<98, Value:32/signed, Rest/binary>>) -> {Value, Rest};
term(<<110, Size, Sign, Value:Size/unit:8-little, Rest/binary>>) -> {signed(Sign, Value), Rest};
term(<<70, Value/float, Rest/binary>>) -> {Value, Rest};
term(<<119, Size, Name:Size/binary, Rest/binary>>) -> {atom(Name, utf8), Rest};
term(<<118, Size:16, Name:Size/binary, Rest/binary>>) -> {atom(Name, utf8), Rest};
term(<<115, Size, Name:Size/binary, Rest/binary>>) -> {atom(Name, latin1), Rest};
term(<<100, Size:16, Name:Size/binary, Rest/binary>>) -> {atom(Name, latin1), Rest};
term(<<109, Size:32, Value:Size/binary, Rest/binary>>) -> {binary:copy(Value), Rest};
term(<<106, Rest/binary>>) -> {[], Rest};
term(<<107, Size:16, Value:Size/binary, Rest/binary>>) -> {binary_to_list(Value), Rest};
term(<<108, Count:32, Rest/binary>>) -> list(terms(Count, Rest));
term(<<104, Arity, Rest/binary>>) -> tuple(terms(Arity, Rest));
term(<<105, Arity:32, Rest/binary>>) -> tuple(terms(Arity, Rest));
term(<<116, Pairs:32, Rest/binary>>) -> map(terms(2 * Pairs, Rest)).

%% Each term takes a byte at least, so a count that the bytes cannot hold fails before long.
-spec terms(non_neg_integer(), binary()) -> {[term()], binary()}.
terms(Count, Bytes) ->
    terms(Count, Bytes, []).

-spec terms(non_neg_integer(), binary(), [term()]) -> {[term()], binary()}.
terms(0, Rest, Reversed) ->
    {lists:reverse(Reversed), Rest};
terms(Count, Bytes, Reversed) ->
    {Term, Rest} = term(Bytes),
    terms(Count - 1, Rest, [Term | Reversed]).

-spec list({[term()], binary()}) -> {maybe_improper_list(), binary()}.
list({Elements, AfterElements}) ->
    {Tail, Rest} = term(AfterElements),
    {Elements ++ Tail, Rest}.

-spec tuple({[term()], binary()}) -> {tuple(), binary()}.
tuple({Elements, Rest}) ->
    {list_to_tuple(Elements), Rest}.

-spec map({[term()], binary()}) -> {map(), binary()}.
map({KeysAndValues, Rest}) ->
    {map(KeysAndValues, #{}), Rest}.

-spec map([term()], map()) -> map().
map([], Map) -> Map;
map([Key, Value | Others], Map) when not is_map_key(Key, Map) -> map(Others, Map#{Key => Value}).

-spec signed(0 | 1, non_neg_integer()) -> integer().
signed(0, Value) -> Value;
signed(1, Value) -> -Value.

-spec atom(binary(), utf8 | latin1) -> atom() | {unknown, binary()}.
atom(Name, Encoding) ->
    try
        binary_to_existing_atom(Name, Encoding)
    catch
        error:badarg -> {unknown, Name}
    end.

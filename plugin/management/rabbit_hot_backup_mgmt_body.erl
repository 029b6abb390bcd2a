%% What a request's body says: an object whose fields are all known and of the right type. A field
%% that is misspelt is refused, not ignored: it may be the `dry_run` of a deletion.
-module(rabbit_hot_backup_mgmt_body).

-export([decode/1, fields/2]).

-type type() :: text | texts | boolean | positive.

-spec decode(binary()) -> {ok, map()} | {error, rabbit_hot_backup_protocol:error()}.
decode(Body) ->
    try rabbit_hot_backup_compat:decode_json(Body) of
        Object when is_map(Object) -> {ok, Object};
        _ -> {error, not_an_object()}
    catch
        error:_ -> {error, not_an_object()}
    end.

-spec not_an_object() -> rabbit_hot_backup_protocol:error().
not_an_object() ->
    rabbit_hot_backup_protocol:error(usage, "the body of the request is no JSON object").

-spec fields(#{binary() => term()}, #{atom() => type()}) ->
          {ok, #{atom() => term()}} | {error, rabbit_hot_backup_protocol:error()}.
%% The fields that it has, checked.
fields(Body, Types) ->
    Names = maps:from_list([{atom_to_binary(Name), Name} || Name <- maps:keys(Types)]),
    maps:fold(fun(_, _, {error, Error}) -> {error, Error};
                 (Key, Value, {ok, Fields}) -> field(Key, Value, Names, Types, Fields)
              end, {ok, #{}}, Body).

-spec field(binary(), term(), #{binary() => atom()}, #{atom() => type()}, map()) ->
          {ok, map()} | {error, rabbit_hot_backup_protocol:error()}.
field(Key, Value, Names, Types, Fields) ->
    case Names of
        #{Key := Name} ->
            Type = maps:get(Name, Types),
            case is_of(Type, Value) of
                true -> {ok, Fields#{Name => Value}};
                false -> {error, rabbit_hot_backup_protocol:error(
                                   usage, "~ts has to be ~ts", [Key, describe(Type)])}
            end;
        #{} ->
            {error, rabbit_hot_backup_protocol:error(
                      usage, "the request has a field that is not known here: ~ts", [Key])}
    end.

-spec is_of(type(), term()) -> boolean().
%% A text becomes an argument of a program, and such a one ends at a zero byte.
is_of(text, Value) -> is_binary(Value) andalso binary:match(Value, <<0>>) =:= nomatch;
is_of(texts, Value) -> is_list(Value) andalso lists:all(fun(Text) -> is_of(text, Text) end, Value);
is_of(boolean, Value) -> is_boolean(Value);
is_of(positive, Value) -> is_integer(Value) andalso Value > 0.

-spec describe(type()) -> string().
describe(text) -> "a string without zero bytes";
describe(texts) -> "an array of strings without zero bytes";
describe(boolean) -> "true or false";
describe(positive) -> "a whole number above 0".

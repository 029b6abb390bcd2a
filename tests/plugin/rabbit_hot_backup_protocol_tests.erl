%% The plugin's side of docs/protocol.md, against the same recorded bytes as the C++ side.
-module(rabbit_hot_backup_protocol_tests).

-include_lib("eunit/include/eunit.hrl").

recorded_test_() ->
    Recorded = recorded(),
    ?assert(length(Recorded) > 20),
    [{binary_to_list(Name), fun() -> compare(Direction, Term, Bytes) end}
     || {Name, Direction, Term, Bytes} <- Recorded].

compare(<<"engine">>, Term, Bytes) ->
    ?assertEqual({ok, Term}, rabbit_hot_backup_protocol:decode(Bytes)),
    ?assertEqual({ok, Term}, rabbit_hot_backup_protocol:check(Term)),
    Framed = <<(byte_size(Bytes)):32, Bytes/binary>>,
    ?assertEqual({[Term], <<>>}, rabbit_hot_backup_protocol:unframe(Framed)),
    lists:foreach(
      fun(Length) ->
              Part = binary:part(Framed, 0, Length),
              ?assertEqual({[], Part}, rabbit_hot_backup_protocol:unframe(Part))
      end, lists:seq(0, byte_size(Framed) - 1));
compare(<<"plugin">>, Term, Bytes) ->
    Encoded = iolist_to_binary(rabbit_hot_backup_protocol:encode(Term)),
    ?assertEqual(Term, binary_to_term(Encoded, [safe])),
    %% The order of a map's keys is the release's own business.
    _ = [?assertEqual(Bytes, Encoded) || erlang:system_info(otp_release) =:= "25"],
    ?assertEqual(<<(byte_size(Encoded)):32, Encoded/binary>>,
                 iolist_to_binary(rabbit_hot_backup_protocol:frame(Term))).

recorded() ->
    {ok, Content} = file:read_file(os:getenv("HOT_BACKUP_MESSAGES")),
    Lines = binary:split(Content, <<"\n">>, [global]),
    [recorded(Line) || Line <- Lines, Line =/= <<>>, binary:first(Line) =/= $%].

recorded(Line) ->
    [Name, Direction, Text, Hex] = binary:split(Line, <<"|">>, [global]),
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text) ++ "."),
    {ok, Term} = erl_parse:parse_term(Tokens),
    {Name, Direction, Term, << <<(binary_to_integer(Digits, 16))>> || <<Digits:2/binary>> <= Hex >>}.

several_messages_come_in_one_piece_test() ->
    Framed = iolist_to_binary([frame({ack, 1, N}) || N <- [0, 1, 2]]),
    ?assertEqual({[{ack, 1, 0}, {ack, 1, 1}, {ack, 1, 2}], <<0, 0>>},
                 rabbit_hot_backup_protocol:unframe(<<Framed/binary, 0, 0>>)).

text_is_refused_by_its_first_four_bytes_test() ->
    ?assertMatch({error, #{code := failed}}, rabbit_hot_backup_protocol:unframe(<<"Hell">>)).

%% ------------------------------------------------------------------
%% What a newer or a hostile engine sends

atoms_that_nobody_knows_are_not_created_test() ->
    Unknown = <<"no_such_atom_in_this_node_", (integer_to_binary(rand:uniform(1 bsl 60)))/binary>>,
    Atom = <<119, (byte_size(Unknown)), Unknown/binary>>,
    Request = <<131, 104, 5, 119, 7, "request", 97, 1, 97, 100, Atom/binary,
                116, 1:32, Atom/binary, 97, 1>>,
    ?assertEqual({ok, {request, 1, 100, {unknown, Unknown}, #{}}},
                 rabbit_hot_backup_protocol:decode(Request)),
    ?assertError(badarg, binary_to_existing_atom(Unknown)).

not_messages_test_() ->
    [{lists:flatten(io_lib:format("~0tp", [Term])),
      ?_assertMatch({error, #{code := failed}},
                    rabbit_hot_backup_protocol:decode(term_to_binary(Term)))}
     || Term <- [hello, [], {}, {hello}, {hello, 1, #{}}, {hello, [-1], #{}}, {hello, [1 | 2], #{}},
                 {hello, [1], []}, {request, -1, 0, ping, #{}}, {request, 1, -1, ping, #{}},
                 {request, 1, 1, <<"ping">>, #{}}, {request, 1, 1, ping, []}, {reply, 1, ok, 1},
                 {reply, 1, 'maybe', #{}}, {notice, 1, #{}}, {ack, 1}, {ack, 1, -1}, {ack, 1.0, 1},
                 {data, 1, 0, <<>>}, {stream_end, 1, #{}}, {stream_abort, 1, #{}}, {5, 5}]].

not_terms_test_() ->
    [?_assertMatch({error, #{code := failed}}, rabbit_hot_backup_protocol:decode(Bytes))
     || Bytes <- [<<>>, <<131>>, <<130, 106>>, <<131, 106, 106>>, <<131, 108, 255, 255, 255, 255>>,
                  <<131, 116, 255, 255, 255, 255, 106>>, <<131, 109, 255, 255, 255, 255, 0>>,
                  <<131, 104, 3, 119, 3, "ack", 97>>, <<131, 119, 3, "ac">>,
                  <<131, 110, 255, 0>>,
                  term_to_binary(lists:duplicate(1000, a), [compressed]),
                  term_to_binary(self()), term_to_binary(make_ref()),
                  term_to_binary(fun lists:map/2), term_to_binary(<<1:3>>)]].

%% Every single-byte change of every message: an answer, never an exception.
mutated_messages_are_judged_test_() ->
    {timeout, 120, fun() -> [mutate(Bytes) || {_, <<"engine">>, _, Bytes} <- recorded()] end}.

mutate(Bytes) ->
    [begin
         <<Before:Position/binary, _, After/binary>> = Bytes,
         case rabbit_hot_backup_protocol:decode(<<Before/binary, Byte, After/binary>>) of
             {ok, _} -> ok;
             {error, #{code := failed, message := Message}} when is_binary(Message) -> ok
         end
     end || Position <- lists:seq(0, byte_size(Bytes) - 1), Byte <- [0, 97, 104, 108, 116, 255]].

errors_of_an_engine_are_made_whole_test() ->
    ?assertEqual({ok, {reply, 1, error, #{code => failed, message => <<"m">>, hint => <<>>}}},
                 rabbit_hot_backup_protocol:check({reply, 1, error, #{code => {unknown, <<"x">>},
                                                                      message => <<"m">>}})).

%% ------------------------------------------------------------------
%% Versions

versions_test() ->
    ?assertEqual({ok, 1}, rabbit_hot_backup_protocol:agree([3, 2, 1])),
    {error, Newer} = rabbit_hot_backup_protocol:agree([3, 2]),
    ?assertMatch(#{code := mismatch,
                   message := <<"the program speaks the protocol versions [3,2], the plugin [1]">>,
                   hint := <<"Upgrade the plugin rabbitmq_hot_backup.">>}, Newer),
    {error, Older} = rabbit_hot_backup_protocol:agree([0]),
    ?assertMatch(#{hint := <<"Upgrade the program rabbitmq-hot-backup.">>}, Older).

messages_are_cut_test() ->
    #{message := Message} = rabbit_hot_backup_protocol:error(failed, "~p", [lists:seq(1, 100000)]),
    ?assert(byte_size(Message) < 1100).

frame(Message) ->
    Bytes = term_to_binary(Message),
    [<<(byte_size(Bytes)):32>>, Bytes].

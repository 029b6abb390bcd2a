#!/usr/bin/env escript
-mode(compile).
%% Fills in the last column of messages.txt and of ../erlang_port/terms.txt with what a real Erlang
%% makes of the term in the column before it:
%%
%%     escript record.escript FILE...
%%
%% The files are versioned with their bytes, so that each side is tested against recorded ones. To
%% add an example write its line with an empty last column and run this. Use OTP 25 or older: it
%% writes the keys of small maps in term order; a newer one changes recorded bytes without need.

main(Files) ->
    lists:foreach(fun record/1, Files).

record(File) ->
    {ok, Content} = file:read_file(File),
    Lines = string:split(Content, "\n", all),
    ok = file:write_file(File, lists:join("\n", [line(L) || L <- Lines])).

line(<<>>) -> <<>>;
line(<<"%", _/binary>> = Comment) -> Comment;
line(Line) ->
    [Before, _] = string:split(Line, "|", trailing),
    Expression = lists:last(text(Before)),
    Bytes = term_to_binary(evaluate(Expression), [{minor_version, 2}]),
    [Before, "|", [io_lib:format("~2.16.0b", [B]) || <<B>> <= Bytes]].

%% messages.txt has name|direction|term|bytes; terms.txt has term|bytes, and the term may have bars.
text(Before) ->
    Pattern = "^([a-z_0-9]+)\\|(engine|plugin)\\|(.*)$",
    case re:run(Before, Pattern, [{capture, all_but_first, binary}]) of
        {match, Columns} -> Columns;
        nomatch -> [Before]
    end.

evaluate(Expression) ->
    {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(<<Expression/binary, ".">>)),
    {ok, Parsed} = erl_parse:parse_exprs(Tokens),
    {value, Value, _} = erl_eval:exprs(Parsed, []),
    Value.

#!/usr/bin/env escript
%% Makes the one script of the management page out of its parts, at build time.
%%
%% usage: compile.escript OUTPUT SOURCE...
%%
%% A source is a script (.js), taken as it is, or a template (.ejs), compiled to a function of one
%% argument, `view`, in the object `templates`. Browsers compile no templates then, which a content
%% security policy without `unsafe-eval` forbids, in any version of RabbitMQ.
%%
%%   <% CODE %>         a statement
%%   <%= EXPRESSION %>  its value, escaped
%%   <%- EXPRESSION %>  its value, which is markup already
%%   <%# COMMENT %>
%%
%% What a template writes is escaped unless it says otherwise: names of queues hold anything.
-mode(compile).

-spec main([string()]) -> ok.
main([Output | Sources]) ->
    Parts = [part(filename:extension(Source), Source) || Source <- Sources],
    Script = ["(function() {\n'use strict';\nvar templates = {};\n", Parts, "})();\n"],
    ok = filelib:ensure_dir(Output),
    ok = file:write_file(Output, Script);
main(_) ->
    io:format(standard_error, "usage: compile.escript OUTPUT SOURCE...~n", []),
    halt(2).

-spec part(Extension :: string(), file:filename()) -> iodata().
part(".js", Source) ->
    read(Source);
part(".ejs", Source) ->
    Name = filename:basename(Source, ".ejs"),
    ["templates['", Name, "'] = function(view) {\nvar markup = '';\n",
     compile(read(Source), Source),
     "return markup;\n};\n"].

-spec read(file:filename()) -> binary().
read(Source) ->
    {ok, Text} = file:read_file(Source),
    case unicode:characters_to_binary(Text) of
        Text -> Text;
        _ -> fail(Source, "is not UTF-8")
    end.

%% Text and tags take turns.
-spec compile(binary(), file:filename()) -> iodata().
compile(Template, Source) ->
    case binary:split(Template, <<"<%">>) of
        [Text] ->
            text(Text);
        [Text, Rest] ->
            case binary:split(Rest, <<"%>">>) of
                [Tag, Following] ->
                    %% A line that holds nothing but a statement leaves no line in the page.
                    [text(Text), tag(Tag) | compile(after_tag(Tag, Following), Source)];
                [_] ->
                    fail(Source, "has a tag that is not closed")
            end
    end.

-spec text(binary()) -> iodata().
text(<<>>) ->
    [];
text(Text) ->
    ["markup += '", escape(Text), "';\n"].

-spec escape(binary()) -> binary().
escape(Text) ->
    lists:foldl(fun({From, To}, Escaped) -> binary:replace(Escaped, From, To, [global]) end, Text,
                [{<<"\\">>, <<"\\\\">>}, {<<"'">>, <<"\\'">>}, {<<"\n">>, <<"\\n">>}]).

-spec tag(binary()) -> iodata().
tag(<<"=", Expression/binary>>) ->
    ["markup += escape_html(", Expression, ");\n"];
tag(<<"-", Expression/binary>>) ->
    ["markup += (", Expression, ");\n"];
tag(<<"#", _/binary>>) ->
    [];
tag(Statement) ->
    [Statement, "\n"].

-spec after_tag(Tag :: binary(), binary()) -> binary().
after_tag(<<Kind, _/binary>>, Following) when Kind =:= $=; Kind =:= $- ->
    Following;
after_tag(_, <<"\n", Following/binary>>) ->
    Following;
after_tag(_, Following) ->
    Following.

-spec fail(file:filename(), string()) -> no_return().
fail(Source, Reason) ->
    io:format(standard_error, "~ts ~ts~n", [Source, Reason]),
    halt(1).

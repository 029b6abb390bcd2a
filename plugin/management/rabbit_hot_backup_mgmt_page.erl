%% Sorts, filters and cuts lists as the lists of the management API are: `sort`, `sort_reverse`,
%% `name`, `use_regex`, `page`, `page_size`.
%%
%% With `page` the answer is an object with the `items` of that page and the counts, otherwise the
%% array of all. What is in a backup may be too long for that: of such a list there are only pages,
%% which the program makes.
-module(rabbit_hot_backup_mgmt_page).

%% Of a list that is here.
-export([select/3]).

%% Of one that the program has.
-export([options/1, text/3, of_part/3]).

-export_type([range/0]).

-define(PAGE_SIZE, 100).
-define(LARGEST_PAGE, 500).

-type item() :: #{binary() => term()}.

-spec select([item()], NameKey :: binary(), [{binary(), binary() | true}]) ->
          {ok, [item()] | #{atom() => term()}} | {error, rabbit_hot_backup_protocol:error()}.
%% `name` is looked for in the field NameKey. Without `sort` the order stays as it is.
select(Items, NameKey, Query) ->
    case {matcher(Query), range(Query)} of
        {{ok, Matches}, {ok, Range}} ->
            Filtered = [Item || Item <- Items, Matches(maps:get(NameKey, Item, <<>>))],
            cut(Range, sort(Filtered, Query), length(Items));
        {{error, Error}, _} ->
            {error, Error};
        {_, {error, Error}} ->
            {error, Error}
    end.

-spec options([{binary(), binary() | true}]) ->
          {ok, range(), Options :: [iodata()]} | {error, rabbit_hot_backup_protocol:error()}.
%% The part that is asked for, as options of `show --list`. Without `page` it is the first.
options(Query) ->
    Paged = case lists:keymember(<<"page">>, 1, Query) of
                true -> Query;
                false -> [{<<"page">>, <<"1">>} | Query]
            end,
    case range(Paged) of
        {ok, {Page, Size} = Range} ->
            Filter = value(<<"name">>, Query, <<>>),
            Sort = value(<<"sort">>, Query, <<>>),
            case unicode:characters_to_binary([Filter, Sort]) of
                Text when is_binary(Text) ->
                    {ok, Range,
                     [["--offset=", integer_to_list((Page - 1) * Size)],
                      ["--limit=", integer_to_list(Size)]]
                     ++ filter_options(Filter, value(<<"use_regex">>, Query, <<>>))
                     ++ sort_options(Sort, value(<<"sort_reverse">>, Query, <<>>))};
                _ ->
                    {error, rabbit_hot_backup_protocol:error(usage, "name is no UTF-8 text")}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec text(Key :: binary(), [{binary(), binary() | true}], Default :: binary()) -> binary().
%% A parameter that becomes an argument of the program.
text(Key, Query, Default) ->
    without_zero(value(Key, Query, Default)).

-spec filter_options(binary(), binary()) -> [iodata()].
filter_options(<<>>, _) -> [];
filter_options(Filter, UseRegex) ->
    [["--filter=", without_zero(Filter)]] ++ ["--regex" || UseRegex =:= <<"true">>].

-spec sort_options(binary(), binary()) -> [iodata()].
sort_options(<<>>, _) -> [];
sort_options(Sort, Reverse) ->
    [["--sort=", without_zero(Sort)]] ++ ["--reverse" || Reverse =:= <<"true">>].

-spec without_zero(binary()) -> binary().
%% An argument of a program ends at a zero byte. Nothing has the name that takes its place.
without_zero(Text) ->
    binary:replace(Text, <<0>>, <<16#FFFF/utf8>>, [global]).

-spec of_part(range(), [item()], Counts :: #{binary() => term()}) ->
          {ok, #{atom() => term()}} | {error, rabbit_hot_backup_protocol:error()}.
%% The page that those options have given.
of_part({Page, Size}, Items, #{<<"total">> := Total, <<"matched">> := Matched}) ->
    page(Page, Size, Items, Matched, Total).

-spec matcher([{binary(), binary() | true}]) ->
          {ok, fun((binary()) -> boolean())} | {error, rabbit_hot_backup_protocol:error()}.
matcher(Query) ->
    Name = value(<<"name">>, Query, <<>>),
    case {unicode:characters_to_binary(Name), value(<<"use_regex">>, Query, <<>>)} of
        {<<>>, _} ->
            {ok, fun(_) -> true end};
        {Name, <<"true">>} ->
            pattern(Name);
        {Name, _} ->
            Part = string:lowercase(Name),
            {ok, fun(Text) -> string:find(string:lowercase(Text), Part) =/= nomatch end};
        _ ->
            {error, rabbit_hot_backup_protocol:error(usage, "name is no UTF-8 text")}
    end.

-spec pattern(binary()) ->
          {ok, fun((binary()) -> boolean())} | {error, rabbit_hot_backup_protocol:error()}.
pattern(Name) ->
    case re:compile(Name, [caseless, unicode]) of
        {ok, Pattern} ->
            {ok, fun(Text) -> re:run(Text, Pattern, [{capture, none}]) =:= match end};
        {error, {Reason, Position}} ->
            {error, rabbit_hot_backup_protocol:error(
                      usage, "name is no regular expression: ~ts (at character ~b)",
                      [Reason, Position])}
    end.

-spec sort([item()], [{binary(), binary() | true}]) -> [item()].
%% By a field, or by a field of a field: `cut.pause_us`. What an item does not have comes first.
sort(Items, Query) ->
    case value(<<"sort">>, Query, <<>>) of
        <<>> ->
            Items;
        Sort ->
            Path = binary:split(Sort, <<".">>, [global]),
            Sorted = lists:keysort(1, [{field(Path, Item), Item} || Item <- Items]),
            Ascending = [Item || {_, Item} <- Sorted],
            case value(<<"sort_reverse">>, Query, <<>>) of
                <<"true">> -> lists:reverse(Ascending);
                _ -> Ascending
            end
    end.

-spec field([binary()], term()) -> term().
%% Numbers come before all other terms.
field([], null) -> 0;
field([], Value) -> Value;
field([Key | Keys], Item) ->
    case Item of
        #{Key := Value} -> field(Keys, Value);
        _ -> 0
    end.

-type range() :: all | {Page :: pos_integer(), Size :: pos_integer()}.

-spec range([{binary(), binary() | true}]) ->
          {ok, range()} | {error, rabbit_hot_backup_protocol:error()}.
range(Query) ->
    Size = value(<<"page_size">>, Query, integer_to_binary(?PAGE_SIZE)),
    case {value(<<"page">>, Query, none), number(Size)} of
        {none, _} ->
            {ok, all};
        {Page, {ok, Number}} when Number =< ?LARGEST_PAGE ->
            case number(Page) of
                {ok, PageNumber} -> {ok, {PageNumber, Number}};
                error -> {error, invalid_page()}
            end;
        _ ->
            {error, invalid_page()}
    end.

-spec number(binary() | true) -> {ok, pos_integer()} | error.
number(Text) ->
    try binary_to_integer(Text) of
        Number when Number > 0 -> {ok, Number};
        _ -> error
    catch
        error:badarg -> error
    end.

-spec invalid_page() -> rabbit_hot_backup_protocol:error().
invalid_page() ->
    rabbit_hot_backup_protocol:error(
      usage, "page and page_size have to be whole numbers from 1, page_size at most ~b",
      [?LARGEST_PAGE]).

-spec cut(range(), [item()], Total :: non_neg_integer()) ->
          {ok, [item()] | #{atom() => term()}} | {error, rabbit_hot_backup_protocol:error()}.
cut(all, Items, _) ->
    {ok, Items};
cut({Page, Size}, Items, Total) ->
    First = (Page - 1) * Size,
    Filtered = length(Items),
    Shown = case First < Filtered of
                true -> lists:sublist(Items, First + 1, Size);
                false -> []
            end,
    page(Page, Size, Shown, Filtered, Total).

-spec page(pos_integer(), pos_integer(), [item()], non_neg_integer(), non_neg_integer()) ->
          {ok, #{atom() => term()}} | {error, rabbit_hot_backup_protocol:error()}.
page(Page, Size, Shown, Filtered, Total) ->
    Pages = (Filtered + Size - 1) div Size,
    case Page =:= 1 orelse Page =< Pages of
        true ->
            {ok, #{total_count => Total, filtered_count => Filtered, item_count => length(Shown),
                   page => Page, page_size => Size, page_count => Pages, items => Shown}};
        false ->
            {error, rabbit_hot_backup_protocol:error(
                      usage, "there is no page ~b: there are ~b", [Page, Pages])}
    end.

-spec value(binary(), [{binary(), binary() | true}], Default) -> binary() | Default.
value(Key, Query, Default) ->
    case lists:keyfind(Key, 1, Query) of
        {_, Value} when is_binary(Value) -> Value;
        _ -> Default
    end.

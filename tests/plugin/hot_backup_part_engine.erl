%% An engine in a process of the operating system that makes whatever backups it is asked for: parts
%% of a cluster's, of which only the words are there.
%%
%% The file `behaviour` in its directory says what it does otherwise, and `words` has what it was
%% answered.
-module(hot_backup_part_engine).

-export([program/1, behave/2, words/1, forget/1]).
-export([main/1]).

-export_type([behaviour/0, point/0]).

-type point() :: begun | ready | checkpoint | stop | streamed | prepared | published.

-type behaviour() :: #{captures => [ok | failed | {late, Milliseconds :: pos_integer()}],
                       die_at => point(),
                       stay_at => point()}.
%% `captures`: at the first stops; later ones succeed. `stay_at`: answers nobody any more.

%% The program, with its files in the directory.
-spec program(file:filename()) -> file:filename().
program(Directory) ->
    Words = ["exec erl -noinput +S 1:1 -pa ", filename:dirname(code:which(?MODULE)), " -eval \""
             "hot_backup_part_engine:main(\\\"", Directory, "\\\").\""],
    Program = filename:join(Directory, "engine"),
    ok = file:write_file(Program, ["#!/bin/sh\n", Words, "\n"]),
    ok = file:change_mode(Program, 8#700),
    Program.

-spec behave(file:filename(), behaviour()) -> ok.
behave(Directory, Behaviour) ->
    ok = file:write_file(filename:join(Directory, "behaviour"), term_to_binary(Behaviour)).

%% `{Operation, ok | error, Result}` in their order.
-spec words(file:filename()) -> [{atom(), ok | error, map()}].
words(Directory) ->
    case file:consult(filename:join(Directory, "words")) of
        {ok, Words} -> Words;
        {error, enoent} -> []
    end.

-spec forget(file:filename()) -> ok.
forget(Directory) ->
    _ = file:delete(filename:join(Directory, "words")),
    _ = file:delete(filename:join(Directory, "behaviour")),
    ok.

%% ------------------------------------------------------------------
%% The program

-record(engine, {directory, port, input = <<>>, behaviour = #{}, job, node, captures = [],
                 is_cancelled = false}).

%% Ends when the pipe does, also where that is seen by writing, and without waiting until everything
%% is written.
main(Directory) ->
    process_flag(trap_exit, true),
    try
        run(Directory)
    catch
        _:_ -> leave()
    end.

run(Directory) ->
    Port = open_port({fd, 0, 1}, [stream, binary, eof]),
    Engine = #engine{directory = Directory, port = Port},
    send(hot_backup_harness:hello(), Engine),
    {{hello, _, #{node := Node}}, Known} = next(Engine),
    serve(Known#engine{node = Node}).

serve(Engine) ->
    case next(Engine) of
        {{request, Id, _, backup, #{job := Job} = Order}, Known} ->
            send({reply, Id, ok, #{}}, Known),
            Behaviour = behaviour(Known),
            Begun = Known#engine{job = Job, behaviour = Behaviour, is_cancelled = false,
                                 captures = maps:get(captures, Behaviour, [])},
            serve(end_job(make(Order, Begun)));
        {{request, Id, _, ping, _}, Known} ->
            send({reply, Id, ok, #{}}, Known),
            serve(Known);
        {_, Known} ->
            serve(Known)
    end.

behaviour(#engine{directory = Directory}) ->
    case file:read_file(filename:join(Directory, "behaviour")) of
        {ok, Bytes} -> binary_to_term(Bytes);
        {error, enoent} -> #{}
    end.

%% As an engine does: docs/protocol.md.
make(#{repository := Repository, part := #{cluster_backup := Id}}, #engine{job = Job} = Engine) ->
    try
        {_, Begun} = ask(job_begin, #{kind => backup, repository => Repository, job => Job},
                         Engine),
        send({notice, progress, #{job => Job, phase => <<"copy 1">>, done => 1, total => 2}},
             Begun),
        Stored = at(streamed, attempt(at(begun, Begun))),
        Text = <<"part of ", Id/binary>>,
        {Answer, Prepared} =
            ask(part_prepared,
                #{job => Job, node => Stored#engine.node, repository => <<"uuid">>,
                  path => Repository, host => <<"host">>, backup => Text,
                  manifest_xxh3_128 => <<"00">>, manifest_bytes => 1, summary => <<"{}">>,
                  affected => [], warnings => []},
                at(prepared, Stored)),
        {{done, Text}, published(Answer, Prepared)}
    catch
        throw:{failed, Error, Failed} -> {{failed, Error}, Failed}
    end.

published(#{publish := #{parts := Parts}}, #engine{job = Job} = Engine) ->
    Nodes = [Node || #{node := Node} <- Parts],
    {_, Published} = ask(cluster_published,
                         #{job => Job, manifest => term_to_binary(Nodes)}, at(published, Engine)),
    Published;
published(#{manifest := _}, Engine) ->
    Engine;
published(#{abandoned := Error}, Engine) ->
    throw({failed, Error, Engine});
published(#{in_doubt := true}, Engine) ->
    throw({failed, #{code => failed, message => <<"in doubt">>, hint => <<>>}, Engine}).

attempt(Engine) ->
    {#{go := Go, lock := Lock}, Ready} =
        ask(part_ready, #{job => Engine#engine.job, dirty_files => 1, dirty_bytes => 1},
            at(ready, Engine)),
    case Go of
        false ->
            attempt(Ready);
        true ->
            {#{metadata := HasMetadata}, Begun} =
                ask(checkpoint_begin, #{lock => Lock}, at(checkpoint, Ready)),
            {#{outcome := Outcome}, Stopped} = ask(stop, #{max_pause => 2000000}, at(stop, Begun)),
            Streamed = case {Outcome, HasMetadata} of
                           {held, true} -> stream(Stopped);
                           _ -> Stopped
                       end,
            {_, Ended} = ask(checkpoint_end, #{}, Streamed),
            case Outcome of
                held -> Ended;
                _ -> attempt(Ended)
            end
    end.

stream(Engine) ->
    {_, Begun} = ask(checkpoint_stream, #{stream => 1}, Engine),
    streamed(Begun).

streamed(Engine) ->
    case next(Engine) of
        {{data, 1, Sequence, _}, Next} ->
            send({ack, 1, Sequence}, Next),
            streamed(Next);
        {{stream_end, 1, Result}, Next} ->
            said({stream_end, ok, Result}, Next);
        {_, Next} ->
            streamed(Next)
    end.

end_job({Result, #engine{job = Job} = Engine}) ->
    Arguments = case Result of
                    {done, Backup} -> #{outcome => done, backup => Backup, bytes => 1};
                    {failed, #{code := cancelled} = Error} ->
                        #{outcome => cancelled, error => Error};
                    {failed, Error} -> #{outcome => failed, error => Error}
                end,
    {_, Left} = ask(checkpoint_end, #{}, Engine#engine{is_cancelled = false}),
    {_, Ended} = ask(job_end, Arguments#{job => Job}, Left#engine{is_cancelled = false}),
    Ended.

at(Point, #engine{behaviour = #{die_at := Point}}) ->
    leave();
at(Point, #engine{behaviour = #{stay_at := Point}} = Engine) ->
    stay(Engine);
at(_, Engine) ->
    Engine.

%% Until it is cancelled.
stay(Engine) ->
    {_, Next} = next(Engine),
    stay(cancelled(Next)).

ask(Operation, Arguments, Engine) ->
    Id = erlang:unique_integer([positive]),
    send({request, Id, 60000, Operation, Arguments}, Engine),
    {Outcome, Result, Known} = answer(Id, Engine),
    Said = said({Operation, Outcome, Result}, Known),
    case Outcome of
        ok -> {Result, cancelled(Said)};
        error -> throw({failed, Result, Said})
    end.

cancelled(#engine{is_cancelled = true} = Engine) ->
    throw({failed, #{code => cancelled, message => <<"cancelled">>, hint => <<>>}, Engine});
cancelled(Engine) ->
    Engine.

said(Words, #engine{directory = Directory} = Engine) ->
    ok = file:write_file(filename:join(Directory, "words"), io_lib:format("~0p.~n", [Words]),
                         [append]),
    Engine.

answer(Id, Engine) ->
    case next(Engine) of
        {{reply, Id, Outcome, Result}, Known} -> {Outcome, Result, Known};
        {{notice, stopped, #{stop := Number}}, Known} -> answer(Id, capture(Number, Known));
        {_, Known} -> answer(Id, Known)
    end.

capture(Number, #engine{captures = Captures} = Engine) ->
    {How, Others} = case Captures of
                        [First | Rest] -> {First, Rest};
                        [] -> {ok, []}
                    end,
    Outcome = case How of
                  {late, Time} -> receive after Time -> ok end;
                  _ -> How
              end,
    send({notice, captured, #{stop => Number, outcome => Outcome}}, Engine),
    Engine#engine{captures = Others}.

send(Message, #engine{port = Port}) ->
    Bytes = term_to_binary(Message, [{minor_version, 2}]),
    true = port_command(Port, [<<(byte_size(Bytes)):32>>, Bytes]).

next(#engine{input = <<Length:32, Bytes:Length/binary, Rest/binary>>} = Engine) ->
    Known = Engine#engine{input = Rest},
    case binary_to_term(Bytes) of
        {notice, cancel, _} = Message -> {Message, Known#engine{is_cancelled = true}};
        Message -> {Message, Known}
    end;
next(#engine{port = Port, input = Input} = Engine) ->
    receive
        {Port, {data, Bytes}} -> next(Engine#engine{input = <<Input/binary, Bytes/binary>>});
        {Port, eof} -> leave();
        {'EXIT', Port, _} -> leave()
    end.

leave() ->
    halt(1, [{flush, false}]).

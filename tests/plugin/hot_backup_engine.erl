%% An engine in a process of the operating system, that does what a list of steps says: for what
%% needs one that goes on while no Erlang process of this VM runs.
-module(hot_backup_engine).

-export([start/2, results/1, reached/2, go/2]).
-export([main/1]).

-export_type([step/0]).

-type step() :: {ask, Operation :: atom(), Arguments :: map()}
              | {stop, MaxPause :: pos_integer(), Outcome :: ok | failed}
              | {meet, Name :: string()}.
%% `meet`: tells that it is here, and goes on when the test says so.

%% Starts a session with an engine of these steps. Its files are in the directory.
-spec start(file:filename(), [step()]) -> Session :: pid().
start(Directory, Steps) ->
    ok = file:write_file(filename:join(Directory, "steps"), term_to_binary(Steps)),
    Words = ["exec erl -noinput -pa ", filename:dirname(code:which(?MODULE)), " -eval \""
             "hot_backup_engine:main(\\\"", Directory, "\\\").\""],
    Program = filename:join(Directory, "engine"),
    ok = file:write_file(Program, ["#!/bin/sh\n", Words, "\n"]),
    ok = file:change_mode(Program, 8#700),
    {ok, Session} = rabbit_hot_backup_session_sup:start_session(#{target => {stdio, Program}}),
    Session.

%% What the requests of all steps were answered, once they are.
results(Directory) ->
    File = filename:join(Directory, "results"),
    hot_backup_harness:eventually(fun() -> filelib:is_regular(File) end, 30000),
    {ok, Results} = file:read_file(File),
    binary_to_term(Results).

%% Waits until the engine is at a meeting.
reached(Directory, Name) ->
    hot_backup_harness:eventually(fun() -> filelib:is_regular(path(Directory, Name, "here")) end,
                                  30000).

go(Directory, Name) ->
    ok = file:write_file(path(Directory, Name, "go"), <<>>).

path(Directory, Name, What) ->
    filename:join(Directory, Name ++ "." ++ What).

%% ------------------------------------------------------------------
%% The program

main(Directory) ->
    {ok, Steps} = file:read_file(filename:join(Directory, "steps")),
    Port = open_port({fd, 0, 1}, [stream, binary, eof]),
    send(Port, hot_backup_harness:hello()),
    {{hello, _, _}, Rest} = next(Port, <<>>),
    {Results, Last} = lists:mapfoldl(fun(Step, Input) -> step(Step, Directory, Port, Input) end,
                                     Rest, binary_to_term(Steps)),
    Part = filename:join(Directory, "results.part"),
    ok = file:write_file(Part, term_to_binary(Results)),
    ok = file:rename(Part, filename:join(Directory, "results")),
    next(Port, Last).

step({ask, Operation, Arguments}, _, Port, Input) ->
    Id = request(Port, Operation, Arguments),
    answer(Id, ok, Port, Input);
step({stop, MaxPause, Outcome}, _, Port, Input) ->
    Id = request(Port, stop, #{max_pause => MaxPause}),
    answer(Id, Outcome, Port, Input);
step({meet, Name}, Directory, _, Input) ->
    ok = file:write_file(path(Directory, Name, "here"), <<>>),
    hot_backup_harness:eventually(fun() -> filelib:is_regular(path(Directory, Name, "go")) end,
                                  30000),
    {met, Input}.

request(Port, Operation, Arguments) ->
    Id = erlang:unique_integer([positive]),
    send(Port, {request, Id, 30000, Operation, Arguments}),
    Id.

answer(Id, Outcome, Port, Input) ->
    case next(Port, Input) of
        {{reply, Id, Kind, Result}, Rest} ->
            {{Kind, Result}, Rest};
        {{notice, stopped, #{stop := Number}}, Rest} ->
            send(Port, {notice, captured, #{stop => Number, outcome => Outcome}}),
            answer(Id, Outcome, Port, Rest);
        {_, Rest} ->
            answer(Id, Outcome, Port, Rest)
    end.

send(Port, Message) ->
    Bytes = term_to_binary(Message, [{minor_version, 2}]),
    true = port_command(Port, [<<(byte_size(Bytes)):32>>, Bytes]).

next(_, <<Length:32, Bytes:Length/binary, Rest/binary>>) ->
    {binary_to_term(Bytes), Rest};
next(Port, Input) ->
    receive
        {Port, {data, Bytes}} -> next(Port, <<Input/binary, Bytes/binary>>);
        {Port, eof} -> halt(0)
    end.

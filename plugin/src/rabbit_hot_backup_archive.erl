%% A backup as one tar, piece by piece, as fast as it is taken: docs/json.md, "archive --framed".
%%
%% The program reads the repository and sends a frame only when it was asked for one, so a download
%% costs the broker the memory of one frame, however slow who takes it is. An archive belongs to the
%% process that opened it; when that ends the program does.
-module(rabbit_hot_backup_archive).

-export([open/1, next/1, close/1]).

-export_type([archive/0, description/0]).

-type description() :: #{name := binary(), bytes := non_neg_integer()}.
%% A name for the file, and how long the tar is.

-record(archive, {program :: rabbit_hot_backup_program:program(), input = <<>> :: binary()}).

-opaque archive() :: #archive{}.

-define(LARGEST_FRAME, 256 * 1024).
%% How long a frame may take, in milliseconds. The first one takes as long as reading the manifest.
-define(PATIENCE, 60000).

-spec open(Backup :: binary()) ->
          {ok, description(), archive()} | {error, rabbit_hot_backup_protocol:error()}.
open(Backup) ->
    Arguments = ["archive", Backup, "--framed",
                 "--repository", rabbit_hot_backup_settings:repository()],
    case rabbit_hot_backup_program:check_id(Backup) of
        ok ->
            case rabbit_hot_backup_program:start_for_bytes(Arguments) of
                {ok, Program} -> described(frame(#archive{program = Program}));
                {error, Error} -> {error, Error}
            end;
        {error, Error} ->
            {error, Error}
    end.

-spec described({ok, binary(), archive()} | {error, rabbit_hot_backup_protocol:error()}) ->
          {ok, description(), archive()} | {error, rabbit_hot_backup_protocol:error()}.
described({ok, Frame, Archive}) ->
    case decode(Frame) of
        #{<<"name">> := Name, <<"bytes">> := Bytes} ->
            {ok, #{name => Name, bytes => Bytes}, Archive};
        Other ->
            close(Archive),
            {error, error_of(Other)}
    end;
described({error, Error}) ->
    {error, Error}.

-spec next(archive()) ->
          {more, Bytes :: binary(), archive()} | done
        | {error, rabbit_hot_backup_protocol:error()}.
%% The next piece. After an error or the end there is no archive any more.
next(Archive) ->
    case frame(Archive) of
        {ok, <<>>, Ended} -> ended(frame(Ended));
        {ok, Bytes, Rest} -> {more, Bytes, Rest};
        {error, Error} -> {error, Error}
    end.

-spec ended({ok, binary(), archive()} | {error, rabbit_hot_backup_protocol:error()}) ->
          done | {error, rabbit_hot_backup_protocol:error()}.
%% The last frame says whether what came before it was all.
ended({ok, Frame, Archive}) ->
    close(Archive),
    case decode(Frame) of
        #{<<"message_type">> := <<"summary">>} -> done;
        Other -> {error, error_of(Other)}
    end;
ended({error, Error}) ->
    {error, Error}.

-spec close(archive()) -> ok.
%% Ends the program, whatever it is doing.
close(#archive{program = Program}) ->
    rabbit_hot_backup_program:kill(Program).

-spec frame(archive()) ->
          {ok, binary(), archive()} | {error, rabbit_hot_backup_protocol:error()}.
frame(#archive{program = Program} = Archive) ->
    ok = rabbit_hot_backup_program:ask(Program),
    read(Archive).

-spec read(archive()) ->
          {ok, binary(), archive()} | {error, rabbit_hot_backup_protocol:error()}.
read(#archive{input = <<Length:32, _/binary>>} = Archive) when Length > ?LARGEST_FRAME ->
    close(Archive),
    {error, not_understood()};
read(#archive{input = <<Length:32, Frame:Length/binary, Rest/binary>>} = Archive) ->
    {ok, Frame, Archive#archive{input = Rest}};
read(#archive{program = Program, input = Input} = Archive) ->
    case rabbit_hot_backup_program:receive_bytes(Program, ?PATIENCE) of
        {bytes, Bytes} ->
            read(Archive#archive{input = <<Input/binary, Bytes/binary>>});
        {exited, Code} ->
            {error, rabbit_hot_backup_program:exited(Code)};
        timeout ->
            close(Archive),
            {error, rabbit_hot_backup_protocol:error(
                      stalled, "the program sent nothing of the archive for ~b s",
                      [?PATIENCE div 1000], "See whether the disk of the repository works.")}
    end.

-spec decode(binary()) -> term().
decode(Frame) ->
    try rabbit_hot_backup_compat:decode_json(Frame)
    catch error:_ -> not_json
    end.

-spec error_of(term()) -> rabbit_hot_backup_protocol:error().
error_of(#{<<"message_type">> := <<"error">>} = Error) ->
    rabbit_hot_backup_program:error_of(Error);
error_of(_) ->
    not_understood().

-spec not_understood() -> rabbit_hot_backup_protocol:error().
not_understood() ->
    rabbit_hot_backup_protocol:error(
      mismatch, "the program sent what is no archive", [],
      "Install the program and the plugin of the same version.").

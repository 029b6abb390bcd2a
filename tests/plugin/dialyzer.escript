#!/usr/bin/env escript
%% What dialyzer finds: dialyzer.escript PLT EBIN...
-mode(compile).

main([Plt | Ebins]) ->
    case filelib:is_regular(Plt) of
        true -> ok;
        false -> build(Plt)
    end,
    Warnings = dialyzer:run([{analysis_type, succ_typings},
                             {init_plt, Plt},
                             {files_rec, Ebins},
                             {warnings, [unmatched_returns | no_unknown()]}]),
    [io:put_chars(dialyzer:format_warning(Warning, [{filename_opt, fullpath}]))
     || Warning <- Warnings],
    halt(case Warnings of [] -> 0; _ -> 1 end).

%% Under a name of its own until it is complete: an interrupted run leaves nothing that looks whole.
build(Plt) ->
    Applications = [erts, kernel, stdlib, mnesia],
    Part = Plt ++ ".part",
    _ = dialyzer:run([{analysis_type, plt_build},
                      {output_plt, Part},
                      {files_rec, [code:lib_dir(Application, ebin)
                                   || Application <- Applications]}]),
    ok = file:rename(Part, Plt).

%% From OTP 26 on dialyzer would name RabbitMQ's functions, which it cannot see; xref.escript
%% looks for those that do not exist.
no_unknown() ->
    case list_to_integer(erlang:system_info(otp_release)) >= 26 of
        true -> [no_unknown];
        false -> []
    end.

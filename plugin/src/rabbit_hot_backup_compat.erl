%% What differs between releases of RabbitMQ, one function for each question.
%%
%% Nothing else in the plugin calls a function of RabbitMQ. The functions called here exist
%% from 3.8 to 4.3 unless a comment says otherwise.
-module(rabbit_hot_backup_compat).

-include_lib("kernel/include/logger.hrl").

-export([log/3]).
-export([rabbitmq_version/0, cluster_name/0, data_dir/0, plugins/0, plugin_version/0]).
-export([metadata_store/0, khepri_export/2]).
-export([configuration_files/0, path/1]).

-export_type([configuration_file/0]).

-type configuration_file() :: {Role :: binary(), Path :: file:filename_all()}.

-spec log(logger:level(), io:format(), [term()]) -> ok.
%% Into the broker's own log. rabbit_log changed over the releases; the domain makes `logger` do
%% the same on all.
log(Level, Format, Arguments) ->
    ?LOG(Level, "Hot backup: " ++ Format, Arguments, #{domain => [rabbitmq, hot_backup]}).

-spec rabbitmq_version() -> binary().
rabbitmq_version() ->
    version_of(rabbit).

-spec plugin_version() -> binary().
plugin_version() ->
    version_of(rabbitmq_hot_backup).

-spec version_of(atom()) -> binary().
version_of(Application) ->
    case application:get_key(Application, vsn) of
        {ok, Version} -> unicode:characters_to_binary(Version);
        undefined -> <<"unknown">>
    end.

-spec cluster_name() -> binary().
%% The node's name when the metadata store does not answer: a name must not fail a backup.
cluster_name() ->
    try
        unicode:characters_to_binary([rabbit_nodes:cluster_name()])
    catch
        _:_ -> atom_to_binary(node())
    end.

-spec data_dir() -> binary().
%% rabbit:data_dir/0 is there from 3.11; before that the data directory is Mnesia's.
data_dir() ->
    Directory = case has(rabbit, data_dir, 0) of
                    true -> rabbit:data_dir();
                    false -> mnesia:system_info(directory)
                end,
    path(Directory).

-spec path(file:filename_all()) -> binary().
%% As UTF-8. The bytes of a name that the VM could not read as text are kept as they are.
path(Path) when is_binary(Path) ->
    Path;
path(Path) ->
    unicode:characters_to_binary(Path).

-spec plugins() -> [#{name := binary(), version := binary()}].
%% The running applications that are built upon RabbitMQ. This is what makes a plugin of an
%% application; rabbit_plugins would read the whole plugins directory to say the same.
plugins() ->
    lists:sort([#{name => atom_to_binary(Application),
                  version => unicode:characters_to_binary(Version)}
                || {Application, _, Version} <- application:which_applications(),
                   is_plugin(Application)]).

-spec is_plugin(atom()) -> boolean().
is_plugin(Application) ->
    case application:get_key(Application, applications) of
        {ok, Dependencies} -> lists:member(rabbit, Dependencies);
        undefined -> false
    end.

-spec metadata_store() -> mnesia | khepri.
%% rabbit_khepri is there from 3.13.
metadata_store() ->
    case has(rabbit_khepri, is_enabled, 0) andalso rabbit_khepri:is_enabled() of
        true -> khepri;
        false -> mnesia
    end.

-spec khepri_export(module(), term()) -> ok | {error, term()}.
%% The callbacks run inside the store's own Ra server.
khepri_export(Module, Argument) ->
    case khepri:export(rabbit_khepri:get_store_id(), Module, Argument) of
        {error, Reason} -> {error, Reason};
        _ -> ok
    end.

-spec configuration_files() -> [configuration_file()].
%% The files that the node really read at its start, wherever its environment told it to look.
%% Those that it would have read if they were there are left out.
configuration_files() ->
    Context = rabbit_prelaunch:get_context(),
    State = case rabbit_prelaunch_conf:get_config_state() of
                undefined -> #{};
                Known -> Known
            end,
    Advanced = case State of
                   #{config_advanced_file := File} when File =/= undefined -> [File];
                   _ -> []
               end,
    Read = maps:get(config_files, State, []),
    Main = [{<<"rabbitmq.conf">>, File} || File <- Read, is_main(File, Context)],
    Fragments = [{fragment(File), File} || File <- Read, not is_main(File, Context)],
    Others = [{<<"enabled_plugins">>, maps:get(enabled_plugins_file, Context, undefined)},
              {<<"rabbitmq-env.conf">>, maps:get(conf_env_file, Context, undefined)}],
    Main ++ Fragments ++ [{<<"advanced.config">>, File} || File <- Advanced]
        ++ [{Role, File} || {Role, File} <- Others,
                            File =/= undefined, filelib:is_regular(File)].

-spec is_main(file:filename_all(), map()) -> boolean().
%% The environment may name it with or without its extension.
is_main(File, #{main_config_file := Main}) when Main =/= undefined ->
    File =:= Main orelse filename:rootname(File) =:= Main;
is_main(_, _) ->
    false.

-spec fragment(file:filename_all()) -> binary().
fragment(File) ->
    <<"conf.d/", (path(filename:basename(File)))/binary>>.

-spec has(module(), atom(), arity()) -> boolean().
has(Module, Function, Arity) ->
    case code:ensure_loaded(Module) of
        {module, Module} -> erlang:function_exported(Module, Function, Arity);
        {error, _} -> false
    end.

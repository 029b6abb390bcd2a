%% What differs between releases of RabbitMQ, one function for each question.
%%
%% But for rabbit_hot_backup_delivery_compat, which knows how messages get into queues,
%% rabbit_hot_backup_queue_compat, which asks queues what they hold, rabbit_hot_backup_khepri, which
%% knows the newer store of metadata, and rabbit_hot_backup_sandbox, which boots another broker,
%% nothing else in the plugin calls a function of RabbitMQ. The functions called here exist from 3.8
%% to 4.3 unless a comment says otherwise.
-module(rabbit_hot_backup_compat).

-include_lib("kernel/include/logger.hrl").

-export([log/3, notify/2, has/3]).
-export([rabbitmq_version/0, cluster_name/0, data_dir/0, plugins/0, plugin_version/0]).
-export([is_booted/0, disk_free_limit/0]).
-export([metadata_store/0]).
-export([members/0, running/0, is_disc_node/0]).
-export([configuration_files/0, directories/0, node_files/0, path/1]).
-export([ra_directories/0, stream_offsets/0, stream_replicas/0]).
-export([policy_keys/0, refused_arguments/0, import_definitions/1, is_queue/2]).
-export([decode_json/1]).

-export_type([configuration_file/0, place/0, queue/0]).

-type configuration_file() :: {Role :: binary(), Path :: file:filename_all()}.
-type place() :: #{role := binary(), path := binary()}.
-type queue() :: {VHost :: binary(), Name :: binary()}.

-spec log(logger:level(), io:format(), [term()]) -> ok.
%% Into the broker's own log. rabbit_log changed over the releases; the domain makes `logger` do
%% the same on all.
log(Level, Format, Arguments) ->
    ?LOG(Level, "Hot backup: " ++ Format, Arguments, #{domain => [rabbitmq, hot_backup]}).

-spec notify(Event :: atom(), [{atom(), term()}]) -> ok.
%% To the broker's event handlers, if this VM is a broker.
notify(Event, Properties) ->
    case has(rabbit_event, notify, 2) of
        true -> rabbit_event:notify(Event, Properties);
        false -> ok
    end.

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

-spec is_booted() -> boolean().
%% Whether the node serves: plugins are started before it does. In an Erlang VM without RabbitMQ,
%% where the plugin is tested, never.
is_booted() ->
    has(rabbit, is_running, 0) andalso rabbit:is_running().

-spec disk_free_limit() -> non_neg_integer().
%% Bytes; with less on the data directory's disk RabbitMQ blocks its publishers. 0 when it does not
%% look.
disk_free_limit() ->
    try rabbit_disk_monitor:get_disk_free_limit() of
        Limit when is_integer(Limit), Limit > 0 -> Limit;
        _ -> 0
    catch
        exit:_ -> 0
    end.

-spec data_dir() -> binary().
%% rabbit:data_dir/0 is there from 3.11; before that the data directory is Mnesia's.
data_dir() ->
    Directory = case has(rabbit, data_dir, 0) of
                    true -> rabbit:data_dir();
                    false -> mnesia:system_info(directory)
                end,
    path(Directory).

-spec directories() -> [place()].
%% Where the node keeps quorum queues and streams: by default in the data directory. Ra may write
%% its log elsewhere than the rest.
directories() ->
    Quorum = directory(<<"quorum">>, ra, data_dir),
    Log = directory(<<"quorum_wal">>, ra, wal_data_dir),
    Quorum ++ [Place || #{path := Path} = Place <- Log, Path =/= path_of(Quorum)]
        ++ directory(<<"stream">>, osiris, data_dir).

-spec directory(Role :: binary(), Application :: atom(), Setting :: atom()) -> [place()].
directory(Role, Application, Setting) ->
    case application:get_env(Application, Setting) of
        {ok, Path} when is_list(Path); is_binary(Path) ->
            [#{role => Role, path => path(filename:absname(Path))}];
        _ ->
            []
    end.

-spec path_of([place()]) -> binary() | none.
path_of([#{path := Path}]) -> Path;
path_of([]) -> none.

-spec node_files() -> [place()].
%% Single files that belong to the node's state and are not in its data directory.
node_files() ->
    Flags = case has(rabbit_feature_flags, enabled_feature_flags_list_file, 0) of
                true -> rabbit_feature_flags:enabled_feature_flags_list_file();
                false -> application:get_env(rabbit, feature_flags_file, undefined)
            end,
    [#{role => <<"feature_flags">>, path => path(filename:absname(Flags))}
     || Flags =/= undefined, filelib:is_regular(Flags)].

-spec ra_directories() -> [{ets:tab(), dets:tab_name()}].
%% The tables in which Ra has the names of its servers: the one in memory, and the one on disc.
%% Ra 2 (RabbitMQ 3.9) knows several systems, each with tables of its own.
ra_directories() ->
    Tables = case has(ra_system, fetch, 1) of
                 true ->
                     [{Table, File}
                      || System <- [quorum_queues, coordination],
                         #{names := #{directory := Table, directory_rev := File}}
                             <- [ra_system:fetch(System)]];
                 false ->
                     [{ra_directory, ra_directory_reverse}]
             end,
    [{Table, File} || {Table, File} <- Tables, ets:info(Table, size) =/= undefined].

-spec stream_offsets() -> #{queue() => {First :: non_neg_integer(), Last :: non_neg_integer()}}.
%% Of the streams that have a replica on this node and something in it.
stream_offsets() ->
    maps:filter(fun(_, {First, Last}) -> First >= 0 andalso Last >= First end, stream_replicas()).

-spec stream_replicas() -> #{queue() => {First :: integer(), Last :: integer()}}.
%% The streams that have a replica running on this node, and its offsets: the first is greater than
%% the last, or one of them negative, where nothing is in it. Their counters are named after the
%% queue from RabbitMQ 3.9.
stream_replicas() ->
    Counters = case has(osiris_counters, overview, 0) of
                   true -> osiris_counters:overview();
                   false -> #{}
               end,
    maps:from_list([{{VHost, Name}, {First, Last}}
                    || {{Role, {resource, VHost, queue, Name}},
                        #{first_offset := First, offset := Last}} <- maps:to_list(Counters),
                       Role =:= osiris_writer orelse Role =:= osiris_replica]).

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

-spec members() -> [node()].
%% All nodes of the cluster, whether they run or not: of a node by itself only that.
%% rabbit_nodes:list_members/0 is there from 3.13; before, the cluster is Mnesia's. Only this node
%% when the metadata store does not say: it must not fail a backup of this node.
members() ->
    try
        case has(rabbit_nodes, list_members, 0) of
            true -> lists:usort([node() | rabbit_nodes:list_members()]);
            false -> lists:usort([node() | mnesia_nodes(db_nodes)])
        end
    catch
        _:_ -> [node()]
    end.

-spec running() -> [node()].
%% Those that serve, as far as this node sees.
running() ->
    case has(rabbit_nodes, list_running, 0) of
        true -> lists:usort([node() | rabbit_nodes:list_running()]);
        false -> lists:usort([node() | mnesia_nodes(running_db_nodes)])
    end.

-spec is_disc_node() -> boolean().
%% Of Mnesia's, which before 4.0 may keep everything in memory on some nodes.
is_disc_node() ->
    mnesia:system_info(use_dir).

-spec mnesia_nodes(db_nodes | running_db_nodes) -> [node()].
mnesia_nodes(Which) ->
    case mnesia:system_info(is_running) of
        yes -> mnesia:system_info(Which);
        _ -> []
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

-spec policy_keys() -> [binary()].
%% What a policy may say on this node, by RabbitMQ and its plugins: one that says anything else is
%% refused.
policy_keys() ->
    Keys = [atom_to_binary(Key) || {Key, _} <- rabbit_registry:lookup_all(policy_validator)],
    case is_locator_refused() of
        true -> Keys -- [<<"queue-master-locator">>];
        false -> Keys
    end.

-spec refused_arguments() -> [binary()].
%% Arguments that this node declares no queue with, and earlier releases do.
refused_arguments() ->
    [<<"x-queue-master-locator">> || is_locator_refused()].

-spec is_locator_refused() -> boolean().
%% It can be permitted in the configuration of 4.3, which denies it by default.
is_locator_refused() ->
    has(rabbit_queue_location, master_locator_permitted, 0)
        andalso not rabbit_queue_location:master_locator_permitted().

-spec is_queue(VHost :: binary(), Name :: binary()) -> boolean().
is_queue(VHost, Name) ->
    case rabbit_amqqueue:lookup(rabbit_misc:r(VHost, queue, Name)) of
        {ok, _} -> true;
        {error, _} -> false
    end.

-spec import_definitions(Json :: binary()) -> ok | {error, term()}.
%% Leaves vhosts, exchanges, queues and bindings alone that exist. It overwrites users, policies and
%% parameters.
import_definitions(Json) ->
    case rabbit_definitions:import_raw(Json) of
        {error, Reason} -> {error, Reason};
        _ -> ok
    end.

-spec decode_json(binary()) -> term().
%% Objects become maps with binaries as keys. Fails with an error when it is no JSON.
decode_json(Json) ->
    rabbit_json:decode(Json).

-spec has(module(), atom(), arity()) -> boolean().
%% Whether this release has the function.
has(Module, Function, Arity) ->
    case code:ensure_loaded(Module) of
        {module, Module} -> erlang:function_exported(Module, Function, Arity);
        {error, _} -> false
    end.

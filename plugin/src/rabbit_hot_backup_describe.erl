%% What a backup keeps of a node besides its metadata: versions, places, configuration files.
-module(rabbit_hot_backup_describe).

-include_lib("kernel/include/file.hrl").

-export([info/0, describe/0, file/2]).

-export_type([config_file/0]).

-type config_file() ::
        #{role := binary(), path := binary(), content := binary(), mode := non_neg_integer(),
          mtime := integer()}
      | #{role := binary(), path := binary(), error := binary()}.
%% A file that cannot be read is named with the reason: a backup tells what it lacks.

%% A longer file is no configuration. It keeps the whole description far below the longest message.
-define(LONGEST_FILE, 4 * 1024 * 1024).

-spec info() -> rabbit_hot_backup_protocol:details().
%% What the plugin says in its hello.
info() ->
    #{plugin_version => rabbit_hot_backup_compat:plugin_version(),
      node => atom_to_binary(node()),
      cluster => rabbit_hot_backup_compat:cluster_name(),
      rabbitmq_version => rabbit_hot_backup_compat:rabbitmq_version(),
      erlang_version => list_to_binary(erlang:system_info(otp_release)),
      metadata_store => rabbit_hot_backup_compat:metadata_store(),
      members => [atom_to_binary(Node) || Node <- rabbit_hot_backup_compat:members()]}.

-spec describe() -> rabbit_hot_backup_protocol:details().
describe() ->
    DataDir = rabbit_hot_backup_compat:data_dir(),
    #{plugins => rabbit_hot_backup_compat:plugins(),
      data_dir => DataDir,
      data_dir_inode => inode(DataDir),
      boot_id => boot_id(),
      disk_free_limit => rabbit_hot_backup_compat:disk_free_limit(),
      directories => rabbit_hot_backup_compat:directories(),
      node_files => rabbit_hot_backup_compat:node_files(),
      configuration => [file(Role, Path)
                        || {Role, Path} <- rabbit_hot_backup_compat:configuration_files()]}.

-spec inode(file:filename_all()) -> non_neg_integer().
inode(Path) ->
    case file:read_file_info(Path) of
        {ok, #file_info{inode = Inode}} -> Inode;
        {error, _} -> 0
    end.

-spec boot_id() -> binary().
%% Of the kernel: all containers of a machine have the same. Empty where there is none.
boot_id() ->
    case file:read_file("/proc/sys/kernel/random/boot_id") of
        {ok, Line} -> string:trim(Line);
        {error, _} -> <<>>
    end.

-spec file(Role :: binary(), file:filename_all()) -> config_file().
file(Role, Path) ->
    Entry = #{role => Role, path => rabbit_hot_backup_compat:path(filename:absname(Path))},
    case file:read_file_info(Path, [{time, posix}]) of
        {ok, #file_info{type = regular, size = Size}} when Size > ?LONGEST_FILE ->
            Entry#{error => <<"it is longer than 4 MiB">>};
        {ok, #file_info{type = regular, mode = Mode, mtime = Time}} ->
            case file:read_file(Path) of
                {ok, Content} ->
                    Entry#{content => Content, mode => Mode band 8#7777, mtime => Time};
                {error, Reason} ->
                    Entry#{error => unicode:characters_to_binary(file:format_error(Reason))}
            end;
        {ok, _} ->
            Entry#{error => <<"it is not a regular file">>};
        {error, Reason} ->
            Entry#{error => unicode:characters_to_binary(file:format_error(Reason))}
    end.

%% Some more Erlang VMs, connected with each other, for tests of what several nodes do together.
%%
%% They are on 127.0.0.1 with an epmd of their own, and end with the VM that started them. Calls go
%% over a pipe, not over the distribution that is tested, so the test's own VM is no node. (The
%% module `peer` does the like from OTP 25 on.)
-module(hot_backup_vms).

-export([start/2, stop/1, node/1, call/2, cast/2, answer/1, call_all/2, signal/2]).
-export([main/0]).

-export_type([vms/0, vm/0, dist/0]).

-record(vm, {node :: node(), keeper :: pid(), os_pid :: pos_integer()}).

-opaque vm() :: #vm{}.
-opaque vms() :: {Epmd :: pid(), Directory :: file:filename(), [vm()]}.
-type dist() :: plain | tls.

%% What a loaded machine may take for the start of a VM, or for a call.
-define(PATIENCE, 60000).

-spec start(pos_integer(), dist()) -> {vms(), [vm()]}.
start(Count, Dist) ->
    Directory = hot_backup_harness:temp_dir(),
    EpmdPort = free_port(),
    Epmd = start_epmd(EpmdPort),
    Cookie = "c" ++ integer_to_list(erlang:unique_integer([positive])) ++ os:getpid(),
    Arguments = ["-noinput", "-start_epmd", "false", "-setcookie", Cookie,
                 "-kernel", "inet_dist_use_interface", "{127,0,0,1}",
                 "-kernel", "prevent_overlapping_partitions", "false",
                 "-pa" | code_paths()] ++ dist_arguments(Dist, Directory),
    %% What they leave behind goes with the directory.
    Environment = [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)}, {"TMPDIR", Directory}],
    Vms = [start_vm(Number, Environment, Arguments) || Number <- lists:seq(1, Count)],
    lists:foreach(fun(Vm) -> pong = call(Vm, fun() -> pong end) end, Vms),
    Nodes = [Vm#vm.node || Vm <- Vms],
    Unknown = fun() -> [Node || Node <- Nodes, net_adm:ping(Node) =:= pang] end,
    lists:foreach(fun(Vm) ->
                          hot_backup_harness:eventually(fun() -> call(Vm, Unknown) =:= [] end)
                  end, Vms),
    {{Epmd, Directory, Vms}, Vms}.

-spec stop(vms()) -> ok.
stop({Epmd, Directory, Vms}) ->
    lists:foreach(fun(#vm{os_pid = Pid, keeper = Keeper}) ->
                          "" = os:cmd("kill -KILL " ++ integer_to_list(Pid) ++ " 2> /dev/null"),
                          end_process(Keeper)
                  end, Vms),
    end_process(Epmd),
    hot_backup_harness:remove(Directory).

-spec node(vm()) -> node().
node(#vm{node = Node}) -> Node.

-spec call(vm(), fun(() -> Result)) -> Result.
%% Has a function run there, in a process of its own that ends with it.
call(Vm, Function) ->
    answer(cast(Vm, Function)).

-spec call_all([vm()], fun((vm()) -> fun(() -> Result))) -> [Result].
%% At the same time.
call_all(Vms, Functions) ->
    [answer(Call) || Call <- [cast(Vm, Functions(Vm)) || Vm <- Vms]].

-spec cast(vm(), fun(() -> term())) -> {vm(), Monitor :: reference()}.
%% As call/2; the answer is to be fetched, by the process that called.
cast(#vm{keeper = Keeper} = Vm, Function) ->
    Monitor = monitor(process, Keeper),
    Keeper ! {call, self(), Monitor, Function},
    {Vm, Monitor}.

-spec answer({vm(), Monitor :: reference()}) -> term().
answer({#vm{node = Node}, Monitor}) ->
    receive
        {answer, Monitor, {ok, Result}} ->
            demonitor(Monitor, [flush]),
            Result;
        {answer, Monitor, {failed, Reason}} ->
            error({Node, Reason});
        {'DOWN', Monitor, process, _, Reason} ->
            error({Node, Reason})
    after ?PATIENCE ->
            error({unanswered, Node})
    end.

-spec signal(vm(), Name :: string()) -> ok.
signal(#vm{os_pid = Pid}, Name) ->
    "" = os:cmd("kill -" ++ Name ++ " " ++ integer_to_list(Pid)),
    ok.

%% ------------------------------------------------------------------

start_vm(Number, Environment, Arguments) ->
    Name = "vm" ++ integer_to_list(Number) ++ "@127.0.0.1",
    Settings = [{packet, 4}, binary, exit_status, nouse_stdio, hide,
                {env, Environment},
                {args, ["-name", Name | Arguments] ++ ["-run", ?MODULE_STRING, "main"]}],
    {Keeper, Pid} = keep(os:find_executable("erl"), Settings, fun keep_vm/2),
    #vm{node = list_to_atom(Name), keeper = Keeper, os_pid = Pid}.

%% Ends when the pipe does.
start_epmd(Number) ->
    Script = "epmd -port " ++ integer_to_list(Number) ++ " -address 127.0.0.1 2> /dev/null & "
        "cat > /dev/null; kill $!",
    {Epmd, _} = keep("/bin/sh", [stream, hide, {args, ["-c", Script]}],
                     fun(_, _) -> receive never -> ok end end),
    hot_backup_harness:eventually(fun() -> is_open(Number) end),
    Epmd.

%% A process that has the port: a test's own process is another one than that of its setup.
keep(Program, Settings, Loop) ->
    Caller = self(),
    Keeper = spawn(fun() ->
                           Port = open_port({spawn_executable, Program}, Settings),
                           {os_pid, Pid} = erlang:port_info(Port, os_pid),
                           Caller ! {kept, self(), Pid},
                           Loop(Port, #{})
                   end),
    receive {kept, Keeper, Pid} -> {Keeper, Pid}
    after ?PATIENCE -> error({not_started, Program}) end.

keep_vm(Port, Callers) ->
    receive
        {call, From, Reference, Function} ->
            true = port_command(Port, term_to_binary({call, Reference, Function})),
            keep_vm(Port, Callers#{Reference => From});
        {Port, {data, Bytes}} ->
            {answer, Reference, Answer} = binary_to_term(Bytes),
            {From, Others} = maps:take(Reference, Callers),
            From ! {answer, Reference, Answer},
            keep_vm(Port, Others);
        {Port, {exit_status, Status}} ->
            exit({ended, Status})
    end.

is_open(Number) ->
    case gen_tcp:connect({127, 0, 0, 1}, Number, []) of
        {ok, Socket} -> gen_tcp:close(Socket) =:= ok;
        {error, Reason} -> Reason
    end.

free_port() ->
    {ok, Socket} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Number} = inet:port(Socket),
    ok = gen_tcp:close(Socket),
    Number.

end_process(Keeper) ->
    Monitor = monitor(process, Keeper),
    exit(Keeper, kill),
    receive {'DOWN', Monitor, process, _, _} -> ok end.

code_paths() ->
    [filename:dirname(code:which(Module)) || Module <- [?MODULE, rabbit_hot_backup_holder]].

dist_arguments(plain, _) ->
    [];
dist_arguments(tls, Directory) ->
    %% Newer releases take neither the hash nor the curve that are made up by default.
    Strong = [{digest, sha256}, {key, {rsa, 2048, 65537}}],
    Chain = #{root => Strong, intermediates => [], peer => Strong},
    #{server_config := Config} =
        public_key:pkix_test_data(#{server_chain => Chain, client_chain => Chain}),
    Certificate = {'Certificate', proplists:get_value(cert, Config)},
    Options = [{certfile, pem(Directory, "cert", Certificate)},
               {keyfile, pem(Directory, "key", proplists:get_value(key, Config))},
               {verify, verify_none}],
    File = filename:join(Directory, "tls.config"),
    ok = file:write_file(File, io_lib:format("~p.~n", [[{server, Options}, {client, Options}]])),
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", File].

pem(Directory, Name, {Type, Der}) ->
    File = filename:join(Directory, Name ++ ".pem"),
    ok = file:write_file(File, public_key:pem_encode([{Type, Der, not_encrypted}])),
    File.

%% ------------------------------------------------------------------
%% There

main() ->
    Port = open_port({fd, 3, 4}, [{packet, 4}, binary, eof]),
    serve(Port).

serve(Port) ->
    receive
        {Port, {data, Bytes}} ->
            {call, Reference, Function} = binary_to_term(Bytes),
            Server = self(),
            _ = spawn(fun() ->
                              Answer = try {ok, Function()}
                                       catch _:Reason:Stack -> {failed, {Reason, Stack}}
                                       end,
                              Server ! {answer, Reference, Answer}
                      end),
            serve(Port);
        {answer, _, _} = Answer ->
            true = port_command(Port, term_to_binary(Answer)),
            serve(Port);
        {Port, eof} ->
            halt(0)
    end.

%% Boots RabbitMQ in a sandbox (sidecar/sandbox), in the place of `rabbit` (RABBITMQ_BOOT_MODULE).
%% It runs in no other broker.
%%
%% A queue with `x-expires` is deleted when it has had no consumer for so long, and in a sandbox none
%% has one. RabbitMQ has no setting against that. A classic queue goes by a timer of its own that
%% begins with the boot, a quorum queue by when it lost its consumers, which is at the boot too: no
%% clock keeps them. So the two functions of RabbitMQ that begin the deletion are loaded as ones that
%% do nothing. Both have one argument, and hand it back, from 3.8 to 4.3.
-module(rabbit_hot_backup_sandbox).

-export([boot/0]).

-spec boot() -> ok.
boot() ->
    %% Of a classic queue: takes and returns its state; else it would start the timer.
    ok = disarm(rabbit_amqqueue_process, ensure_expiry_timer),
    %% Of a quorum queue: what it returns is not looked at; else it would start a process that
    %% deletes. Not there before 3.9, where quorum queues do not expire.
    ok = disarm(rabbit_quorum_queue, spawn_deleter),
    case os:getenv("HOT_BACKUP_ALONE") of
        false -> ok;
        _ -> _ = spawn(fun go_on_alone/0), ok
    end,
    rabbit:boot().

-spec go_on_alone() -> ok.
%% Metadata in Khepri is the state of a Raft group, which has a member on each node of the cluster.
%% Where none of the others is in the sandbox, the one that is makes a group of its own, as by
%% `rabbitmqctl force_standalone_khepri_boot`. The boot waits for a leader until then.
go_on_alone() ->
    case rabbit_hot_backup_compat:is_booted() orelse members_of_store() of
        true -> ok;
        [] -> timer:sleep(200), go_on_alone();  % not started yet, or there is none
        [_] -> ok;
        _ -> _ = rabbit_khepri:force_shrink_member_to_current_member(), ok
    end.

-spec members_of_store() -> [term()].
members_of_store() ->
    try ra:members({local, {rabbit_khepri:get_store_id(), node()}}, 5000) of
        {ok, Members, _} -> Members;
        _ -> []
    catch
        _:_ -> []
    end.

-spec disarm(module(), Function :: atom()) -> ok.
%% Loads the module as it is but for this function. A function that is not there needs no replacing.
%% RabbitMQ ships its modules with their code; in one that somebody stripped of it, such queues go.
disarm(Module, Function) ->
    {Module, Beam, File} = code:get_object_code(Module),
    case beam_lib:chunks(Beam, [abstract_code]) of
        {ok, {Module, [{abstract_code, {raw_abstract_v1, Forms}}]}} ->
            %% Not optimised: it is compiled at each boot.
            {ok, Module, Binary} = compile:forms([harmless(Form, Function) || Form <- Forms],
                                                 [no_copt, no_ssa_opt, no_postopt]),
            {module, Module} = code:load_binary(Module, File, Binary),
            ok;
        {ok, {Module, [{abstract_code, no_abstract_code}]}} ->
            ok
    end.

-spec harmless(erl_parse:abstract_form(), Function :: atom()) -> erl_parse:abstract_form().
harmless({function, Line, Function, 1, _}, Function) ->
    Argument = {var, Line, 'Argument'},
    {function, Line, Function, 1, [{clause, Line, [Argument], [], [Argument]}]};
harmless(Form, _) ->
    Form.

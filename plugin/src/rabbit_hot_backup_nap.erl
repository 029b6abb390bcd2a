%% Waits for microseconds in a hold, where no process may wait: the scheduler that is left sleeps.
%%
%% Nodes that stand still together wait for each other. Were they awake meanwhile, those on one
%% machine, or on one with few processors, would take from each other, and from the engines, the
%% time that they wait for (docs/benchmarks.md, "Pauses of a cluster").
%%
%% This is native code (plugin/native/nap.c). Where it does not load, nothing is missing but that.
-module(rabbit_hot_backup_nap).

-export([load/1, nap/1]).

-nifs([nap/1]).

-spec load(Directory :: file:filename_all()) -> ok | {error, Reason :: string()}.
%% Takes it from a library in this directory. Until then, naps take no time.
load(Directory) ->
    case erlang:load_nif(filename:join(Directory, "librabbitmq_hot_backup_nap"), 0) of
        ok -> ok;
        {error, {reload, _}} -> ok;
        {error, {_, Reason}} -> {error, Reason}
    end.

-spec nap(Microseconds) -> Microseconds when Microseconds :: 0..1000.
%% Sleeps as long, and about fifty microseconds more, which is as exact as Linux wakes a thread.
nap(Microseconds) ->
    Microseconds.

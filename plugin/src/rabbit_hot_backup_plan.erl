%% When something that has a schedule is due next, going by a clock that may jump.
%%
%% A clock that is put forward makes it due once, whatever it has jumped over. One that is put back
%% by up to an hour does not make it due again; put back further, it was wrong before, and the plan
%% is made anew.
-module(rabbit_hot_backup_plan).

-export([new/3, look/2, next/1, is_missed/3]).

-export_type([plan/0]).

-record(plan, {schedule :: rabbit_hot_backup_cron:schedule(),
               offset :: rabbit_hot_backup_cron:offset(),
               next :: rabbit_hot_backup_cron:seconds(),
               looked :: rabbit_hot_backup_cron:seconds(),
               %% When it was due last: the planned time.
               last :: rabbit_hot_backup_cron:seconds() | never}).

-opaque plan() :: #plan{}.

-define(SMALL_STEP_BACK, 3600).

-spec new(rabbit_hot_backup_cron:schedule(), rabbit_hot_backup_cron:offset(),
          Now :: rabbit_hot_backup_cron:seconds()) -> plan().
new(Schedule, Offset, Now) ->
    #plan{schedule = Schedule, offset = Offset, looked = Now, last = never,
          next = rabbit_hot_backup_cron:next(Schedule, Now, Offset)}.

-spec look(Now :: rabbit_hot_backup_cron:seconds(), plan()) -> {due | wait, plan()}.
look(Now, #plan{looked = Looked, last = Last} = Plan) when Now < Looked ->
    After = case Last of
                _ when is_integer(Last), Last > Now, Last - Now =< ?SMALL_STEP_BACK -> Last;
                _ -> Now
            end,
    {wait, plan(After, Plan#plan{looked = Now})};
look(Now, #plan{next = Next} = Plan) when Now >= Next ->
    {due, plan(Now, Plan#plan{looked = Now, last = Next})};
look(Now, Plan) ->
    {wait, Plan#plan{looked = Now}}.

-spec plan(After :: rabbit_hot_backup_cron:seconds(), plan()) -> plan().
plan(After, #plan{schedule = Schedule, offset = Offset} = Plan) ->
    Plan#plan{next = rabbit_hot_backup_cron:next(Schedule, After, Offset)}.

-spec next(plan()) -> rabbit_hot_backup_cron:seconds().
next(#plan{next = Next}) ->
    Next.

-spec is_missed(Since :: rabbit_hot_backup_cron:seconds(), Now :: rabbit_hot_backup_cron:seconds(),
                plan()) -> boolean().
%% Whether it was due between the two.
is_missed(Since, Now, #plan{schedule = Schedule, offset = Offset}) ->
    rabbit_hot_backup_cron:next(Schedule, Since, Offset) =< Now.

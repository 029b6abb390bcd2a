%% The plugin's part of the management plugin, which finds it when both are enabled: the routes of
%% the HTTP API and the page. docs/openapi.json has the API.
-module(rabbit_hot_backup_mgmt).

-behaviour(rabbit_mgmt_extension).

-export([dispatcher/0, web_ui/0]).

-define(BACKUP, "/hot-backup/backups/:id").

-spec dispatcher() -> [{string(), module(), term()}].
%% All paths are below /api.
dispatcher() ->
    [resource("/hot-backup/status", node, status),
     resource("/hot-backup/prune", node, prune),
     resource("/hot-backup/health/checks/last-verified/within/:within/:unit", node, last_verified),
     resource("/hot-backup/jobs", jobs, jobs),
     resource("/hot-backup/jobs/:job", jobs, job),
     resource("/hot-backup/backups", backups, backups),
     resource(?BACKUP, backups, backup),
     resource(?BACKUP "/queues", backups, queues),
     resource(?BACKUP "/files", backups, files),
     resource(?BACKUP "/configuration", backups, configuration),
     resource(?BACKUP "/log", backups, log),
     resource(?BACKUP "/findings", backups, findings),
     resource(?BACKUP "/definitions", backups, definitions),
     resource(?BACKUP "/protection", backups, protection),
     resource(?BACKUP "/verification", jobs, verification),
     resource(?BACKUP "/drill", jobs, drill),
     resource(?BACKUP "/restore", jobs, restore),
     resource(?BACKUP "/restore/plan", jobs, plan),
     {?BACKUP "/download", rabbit_hot_backup_mgmt_download, []}].

-spec web_ui() -> [{javascript, binary()}].
%% RabbitMQ up to 4.0 loads no more than one file of an extension.
web_ui() ->
    [{javascript, <<"hot-backup.js">>}].

-spec resource(string(), node | jobs | backups, atom()) -> {string(), module(), term()}.
resource(Path, node, Name) ->
    {Path, rabbit_hot_backup_mgmt_resource, {rabbit_hot_backup_mgmt_node, Name}};
resource(Path, jobs, Name) ->
    {Path, rabbit_hot_backup_mgmt_resource, {rabbit_hot_backup_mgmt_jobs, Name}};
resource(Path, backups, Name) ->
    {Path, rabbit_hot_backup_mgmt_resource, {rabbit_hot_backup_mgmt_backups, Name}}.

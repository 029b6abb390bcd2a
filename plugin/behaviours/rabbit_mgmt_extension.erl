%% What RabbitMQ's management plugin expects of its extensions, so that the plugin is compiled, and
%% this is checked, where RabbitMQ is not at hand. Not installed.
-module(rabbit_mgmt_extension).

-callback dispatcher() -> [{Path :: string(), Handler :: module(), Argument :: term()}].
-callback web_ui() -> [{javascript, File :: binary()}].

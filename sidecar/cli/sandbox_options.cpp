#include "sidecar/cli/sandbox_options.hpp"

#include "sidecar/sandbox/own_files.hpp"

namespace hot_backup {

Path scratch_parent(const SandboxArguments& arguments) {
    return arguments.scratch ? Path(*arguments.scratch) : default_scratch_parent();
}

SandboxOptions sandbox_options(const SandboxArguments& arguments,
                               std::string_view rabbitmq_version) {
    SandboxOptions options;
    options.rabbitmq = find_rabbitmq(arguments.rabbitmq_home, rabbitmq_version);
    throw_unless_bootable(options.rabbitmq, rabbitmq_version, arguments.any_version);
    options.plugins = own_plugins_directory();
    options.preloaded = own_preloaded_library();
    options.scratch_parent = scratch_parent(arguments);
    options.boot_timeout = arguments.boot_timeout;
    return options;
}

BootCallbacks boot_callbacks(const WholeBackup& backup, Output& output) {
    BootCallbacks callbacks;
    callbacks.progress = [&](const std::string& node, std::uint64_t done, std::uint64_t total) {
        output.progress(
            "restore " + backup.id + (backup.of_cluster ? " of " + printable(node) : ""), done,
            total);
    };
    callbacks.restored = [&](const std::vector<RestoredNode>&) {
        output.progress("boot " + backup.id, 0, 0);
    };
    return callbacks;
}

}  // namespace hot_backup

// What a broker of a sandbox is told: its files of configuration and its environment.
//
// All of it is ours; of the node's own configuration only this is taken over:
//
//     classic_queue.default_version   where a queue does not say it itself, it decides in which of
//                                     two formats RabbitMQ 3.10 to 3.13 keeps its messages; with
//                                     another one the boot would rewrite them all
//     deprecated_features.permit.*    without the permission a node refuses to boot where such a
//                                     feature is in use
//
// Nothing else changes how data are read. Sizes (msg_store_file_size_limit, queue_index_*, raft.*,
// stream.*) only concern what is written next: each file says its own. Users, vhosts, policies and
// feature flags are data. Left out on purpose is what would reach outward or add to the data: other
// listeners, TLS, clustering and peer discovery, authentication backends, load_definitions, and
// every plugin but ours.
//
// Plugins that bring exchange types are left out too. RabbitMQ boots with exchanges of types that
// it does not know (rabbit_exchange_type_invalid) and keeps them as they are; the type would only
// route, and nothing is published in a sandbox. A plugin that runs would act upon the data: the
// delayed message exchange publishes what is due, sharding declares queues, federation connects.
#pragma once

#include "sidecar/restore/restore.hpp"
#include "sidecar/sandbox/child_process.hpp"
#include "sidecar/sandbox/rabbitmq_installation.hpp"
#include "sidecar/sandbox/sandbox_hosts.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace hot_backup {

// Where a broker listens, on 127.0.0.1 only.
struct SandboxPorts {
    std::uint16_t distribution = 0;
    std::uint16_t amqp = 0;
};

struct SandboxPlan {
    RabbitmqInstallation rabbitmq;
    Path plugins;       // the directory that holds our plugin
    Path preloaded;     // the library with the time of day and connect() (clock.cpp, loopback.cpp)
    Timestamp instant;  // of the backup
    Path directory;     // for files of the broker; private
    RestoredNode restored;
    std::vector<SandboxHost> hosts;  // of all nodes of the sandbox
    SandboxPorts ports;
    std::string cookie;
    bool alone = true;  // no other node is in the sandbox, and none is looked for
    // Mnesia does not wait for members of the cluster that are not in the sandbox.
    bool force_boot = false;
};

// Writes the files below `plan.directory`.
void write_configuration(const SandboxPlan& plan);

// For the broker and, as far as it looks at it, the epmd of its host. Of this process's own
// environment it has only where programs and libraries are found.
Environment sandbox_environment(const SandboxPlan& plan);

// Where the broker logs.
Path log_directory(const SandboxPlan& plan);

// The lines of a rabbitmq.conf that a sandbox takes over (above).
std::string taken_over(std::string_view rabbitmq_conf);

}  // namespace hot_backup

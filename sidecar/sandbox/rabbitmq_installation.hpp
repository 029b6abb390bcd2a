// The RabbitMQ server that is installed on this machine.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace hot_backup {

struct RabbitmqInstallation {
    Path home;  // holds sbin/ and plugins/
    std::string version;
    Path erl;
    Path epmd;  // Erlang's port mapper

    Path server() const { return home / "sbin/rabbitmq-server"; }
};

// In `home` where it is given; else the package's directory with the version `wanted`, or the
// newest there; else the one whose rabbitmq-server is in PATH. Error failed: there is none, or no
// Erlang.
RabbitmqInstallation find_rabbitmq(const std::optional<Path>& home, std::string_view wanted);

// Error failed unless `installed` is the version of the backup or, with `any_version`, a later one.
// RabbitMQ upgrades the data of an earlier version in place and never goes back; but a drill is
// about the version that the backup is meant for.
void throw_unless_bootable(const RabbitmqInstallation& installed, std::string_view backup_version,
                           bool any_version);

}  // namespace hot_backup

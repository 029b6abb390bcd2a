// The image of a node's files, as a directory in which the node can be booted elsewhere.
//
//     BASE/NODE                  the data directory
//     BASE/NODE-feature_flags    which RabbitMQ 3.10 keeps beside it
#pragma once

#include "tests/harness/broker.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tools {

struct Image {
    std::filesystem::path base;
    std::string node;

    std::filesystem::path data_directory() const { return base / node; }
};

// Copies the files of a broker just as they are found, as `cp` does, and moves the absolute paths
// within them to the copy: exact only while the broker stands still. What vanishes meanwhile is
// left out. A slow disk can be imitated.
Image copy_image(const harness::Broker& broker, const std::filesystem::path& base,
                 std::optional<double> bytes_per_second = {});

// The files below `directory` that a process has open.
std::vector<std::string> open_below(pid_t process, const std::filesystem::path& directory);

}  // namespace tools

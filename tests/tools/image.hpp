// The image of a node's files, as a directory in which the node can be booted elsewhere.
//
//     BASE/NODE                  the data directory
//     BASE/NODE-feature_flags    which RabbitMQ 3.10 keeps beside it
#pragma once

#include "sidecar/repository/repository.hpp"
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

// Writes the files, directories and links of a backup to `base`, which is made, and relocates them.
// Throws Error when the backup is damaged, holds no image, or holds what an image has no place for.
Image extract_image(const hot_backup::Repository& repository, const std::string& backup,
                    const std::filesystem::path& base);

// Copies the files of a broker just as they are found, as `cp` does, and relocates them: exact only
// while the broker stands still. What vanishes meanwhile is left out. A slow disk can be imitated.
Image copy_image(const harness::Broker& broker, const std::filesystem::path& base,
                 std::optional<double> bytes_per_second = {});

// Puts the image's own data directory in the place of `original`, in the absolute paths that
// Ra's files named `config` have and in the targets of symbolic links. Without that, a booted image
// would use the original's files. Throws Error when one of these still names `original` afterwards.
void relocate(const Image& image, const std::filesystem::path& original);

// The files below `directory` that a process has open.
std::vector<std::string> open_below(pid_t process, const std::filesystem::path& directory);

}  // namespace tools

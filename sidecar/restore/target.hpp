// The place that a restore makes a node's directory at: what may be there, and what is done with
// it.
#pragma once

#include "sidecar/restore/target_file.hpp"

#include <vector>

namespace hot_backup {

class Target {
public:
    // Error usage: it may not be made there, whatever is done with what is there already: the
    // directory around it is missing, it is a symbolic link or a mount point, or it and the
    // repository lie within each other.
    Target(const Path& path, const Path& repository);

    // Absolute, as the operator has named it: for the node and for people.
    const Path& name() const noexcept { return name_; }
    // The same without symbolic links.
    const Path& data_directory() const noexcept { return data_directory_; }
    // The names beside it.
    Path beside(std::string_view suffix) const;
    Path parent() const { return data_directory_.parent_path(); }

    // Error failed: a node works there.
    void throw_if_in_use() const;
    // What is in the way: the data directory, unless it is empty, and what lies beside it.
    std::vector<Path> occupied() const;
    // Error usage when something is in the way.
    void throw_if_occupied() const;
    // Error usage when what is in the way is not the data directory of a node.
    void throw_unless_replaceable() const;
    // Error failed: so many bytes do not fit.
    void throw_unless_fits(std::uint64_t bytes) const;

private:
    void throw_if_it_cannot_be_replaced() const;

    Path name_;
    Path data_directory_;
};

inline constexpr std::string_view feature_flags_suffix = "-feature_flags";
inline constexpr std::string_view configuration_suffix = "-configuration";

// Renames that are undone together, in case not all of them succeed.
class Renames {
public:
    Renames() = default;
    ~Renames();
    Renames(const Renames&) = delete;
    Renames& operator=(const Renames&) = delete;

    void rename(const Path& from, const Path& to);
    // Nothing is undone any more.
    void keep() noexcept { done_.clear(); }

private:
    std::vector<std::pair<Path, Path>> done_;
};

}  // namespace hot_backup

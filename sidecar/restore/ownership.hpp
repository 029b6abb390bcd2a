// Who the restored files belong to.
#pragma once

#include "sidecar/restore/target.hpp"

#include <optional>
#include <string>

namespace hot_backup {

class Ownership {
public:
    // "USER" or "USER:GROUP", by name or number; a user without a group brings the own. None: as
    // root the owner of what is at the target, or of the directory around it; else the caller.
    // Error usage: there is no such user or group, or only root may make files another's.
    Ownership(const std::optional<std::string>& owner, const Target& target);

    // Of an open file, or of a path (a link itself).
    void give(const Descriptor& file, const Path& path) const;
    void give(const Path& path) const;

private:
    bool changes_ = false;
    uid_t user_ = 0;
    gid_t group_ = 0;
};

}  // namespace hot_backup

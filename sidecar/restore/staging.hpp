// The directory beside the target in which a restore is made.
//
//     TARGET.restoring~/
//       restore                 what this directory is; locked (flock) while a restore works
//       publishing              there while names are given: what then lacks here is beside TARGET
//       data/                   becomes TARGET
//       feature_flags           becomes TARGET-feature_flags
//       configuration/          becomes TARGET-configuration
//
// A node's name holds no `~`, so no broker takes it for its own. The data directory gets its name
// last: until then nothing that boots is at the target, from then on everything is.
#pragma once

#include "sidecar/restore/target.hpp"

namespace hot_backup {

class Staging {
public:
    // Makes it, empty; what a restore that was cut off left here is removed first. Error failed:
    // another restore to this target is at work, or something else has the name.
    explicit Staging(const Target& target);
    // Removes it with all that it holds.
    ~Staging();
    Staging(const Staging&) = delete;
    Staging& operator=(const Staging&) = delete;

    Path data() const { return directory_ / "data"; }
    Path feature_flags() const { return directory_ / "feature_flags"; }
    Path configuration() const { return directory_ / "configuration"; }

    // All of it is on stable storage when this returns.
    void sync() const;
    // Moves aside what is in the way at the target, then gives the parts their names there; all of
    // it, or, when it throws, nothing. Returns where what was in the way is now.
    std::vector<Path> publish(bool durable);

private:
    bool try_lock();
    void clear();
    void remove_half_published() const;

    const Target& target_;
    Path directory_;
    Descriptor marker_;
};

}  // namespace hot_backup

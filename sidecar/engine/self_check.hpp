// Whether a RabbitMQ that this program was never tried with still looks like those that it knows.
//
// That the plugin runs there and has said hello is half of it. The other half is what the program
// knows by itself: where a node keeps what, and the shapes of the metadata's records. Where these
// are as they were a backup is made, with a warning; otherwise it is refused, for nobody could say
// what it would be worth.
#pragma once

#include "sidecar/engine/broker.hpp"

#include <string>
#include <string_view>

namespace hot_backup {

class SelfCheck {
public:
    // Of a release that the tests run on (docs/versions.md) nothing is checked.
    explicit SelfCheck(const NodeIdentity& identity);

    // Error failed: the data directory lacks what a node has there.
    void check_layout(const NodeDescription& description) const;
    // Error failed: a record of the stream of metadata has a shape that is not known. `payload` is
    // a list of items (docs/format.md).
    void check_records(std::string_view payload) const;

    // What to tell the operator; empty for a release that the tests run on.
    std::string warning() const;

private:
    [[noreturn]] void refuse(const std::string& why) const;

    NodeIdentity identity_;
    bool tried_;
};

}  // namespace hot_backup

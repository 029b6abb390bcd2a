// A queue by its vhost and name.
#pragma once

#include <compare>
#include <string>

namespace hot_backup {

struct QueueName {
    std::string vhost;
    std::string name;
    auto operator<=>(const QueueName&) const = default;
};

// "queue orders in vhost /": for messages.
inline std::string describe(const QueueName& queue) {
    return "queue " + queue.name + " in vhost " + queue.vhost;
}

}  // namespace hot_backup

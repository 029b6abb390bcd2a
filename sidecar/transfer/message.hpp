// A message on its way from one queue to another.
#pragma once

#include <cstddef>
#include <string>

namespace hot_backup {

struct Message {
    std::string exchange;
    std::string routing_key;
    std::string properties;  // message_properties.hpp
    std::string body;

    std::size_t size() const noexcept {
        return exchange.size() + routing_key.size() + properties.size() + body.size();
    }
};

}  // namespace hot_backup

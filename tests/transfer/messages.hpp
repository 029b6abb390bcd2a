// Messages of every kind, and whether they arrive as a consumer of the source would have seen them.
#pragma once

#include "tests/harness/amqp_client.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace transfer_tests {

// Publishes to an exchange of type topic, with routing keys "orders.*", what a queue of this type
// can hold: every property, every type of field, bodies that go in parts. Returns how many messages
// it were, once the broker has confirmed them.
std::size_t send_every_kind(harness::AmqpClient& client, const std::string& exchange,
                            const std::string& type);

void check_same(const std::vector<harness::Delivery>& before,
                const std::vector<harness::Delivery>& after);

}  // namespace transfer_tests

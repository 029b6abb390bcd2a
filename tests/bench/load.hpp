// Publishers at a given speed, and what their confirms took: the load under which pauses are
// measured.
#pragma once

#include "tests/harness/broker.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bench {

struct LoadOptions {
    double bytes_per_second = 20e6;  // of all publishers together; 0: as fast as it goes
    std::size_t publishers = 2;      // each to its own queue, "load.N", which has a consumer
    std::size_t body_size = 10'000;
    std::string queue_type = "classic";
};

// A message from its publication to its confirm.
struct Confirmed {
    std::chrono::system_clock::time_point at;  // of the confirm
    double latency = 0;                        // seconds
};

// Runs from its construction to finish().
class Load {
public:
    Load(const harness::Broker& broker, const LoadOptions& options = {});
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    // Ends the clients. Throws Error when one of them failed.
    std::vector<Confirmed> finish();

private:
    struct Client;
    std::vector<std::unique_ptr<Client>> clients_;
};

// Puts `count` persistent messages of `body_size` bytes into a queue, and returns when all are
// confirmed.
void fill(const harness::Broker& broker, const std::string& queue, const std::string& queue_type,
          std::size_t count, std::size_t body_size);

}  // namespace bench

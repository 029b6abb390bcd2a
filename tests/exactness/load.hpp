// The load under which an image has to be exact: clients that keep book of what they do, and that
// make the broker move its files about.
//
//     classic -> quorum,  quorum -> classic v2,  classic -> stream      pipelines; where RabbitMQ
//                                                                       has no streams, classic
//     priority, lazy, classic with slow acknowledgements                queues; the last one
//     mirrored
//                                                                       where there are mirrors
//     transient messages; a queue that is not durable                   not in any image
//     queues declared, filled and deleted; vhosts made and deleted      metadata
//     in a cluster: the quorum queues' leaders move from node to node
//
// Consumers hold back many messages and acknowledge them in random order: so the files of the
// classic message store become half empty, and its garbage collection combines them all the time.
#pragma once

#include "tests/exactness/clients.hpp"
#include "tests/exactness/verdict.hpp"

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace exactness {

struct LoadOptions {
    // Of each of the six publishers of persistent messages, as long as its consumer follows.
    double bytes_per_second = 2e6;
    // How many messages each consumer at the end of a way holds back.
    std::size_t held = 400;
    // Whether queues and virtual hosts come and go.
    bool metadata = true;
};

// A broker whose files are so small that its garbage collection, its write-ahead log and its
// segments turn over many times in a test.
harness::BrokerOptions small_files();

class Load {
public:
    // Declares the queues; nothing runs before resume(). The broker outlives the load.
    explicit Load(const harness::Broker& broker, const LoadOptions& options = {});
    // The same for a cluster: the pipelines go from one node to another.
    Load(std::vector<const harness::Broker*> nodes, const LoadOptions& options);
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load();

    void resume() { gate_.open(); }
    // Returns when no client does anything any more; the connections stay open and the deliveries
    // unacknowledged. Throws Error when a client has failed.
    void pause();
    // Waits until so many more messages are confirmed. Throws Error when a client has failed.
    void run_for(std::uint64_t confirms);

    const Ledger& ledger() const noexcept { return ledger_; }
    // How often a quorum queue has got another leader; in a cluster only.
    std::uint64_t moved_leaders() const noexcept { return moved_leaders_; }
    const std::vector<Pipeline>& pipelines() const noexcept { return pipelines_; }

private:
    using Client = std::function<void(std::stop_token)>;
    void start(Client client);
    void start_pipelines(const LoadOptions& options);
    void start_queues(const LoadOptions& options);
    void check_failure() const;

    Ledger ledger_;
    const std::vector<Pipeline> pipelines_;
    Gate gate_;
    std::atomic<std::uint64_t> last_id_ = 0;
    std::atomic<std::uint64_t> moved_leaders_ = 0;
    const Surroundings surroundings_;
    mutable std::mutex mutex_;
    std::string failure_;                // guarded by mutex_
    std::vector<std::jthread> clients_;  // last: they use the members above
};

}  // namespace exactness

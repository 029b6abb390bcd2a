// The plugin's half of the protocol without a broker, so that faults can be put at exact places.
//
// A channel whose other end answers as docs/protocol.md says, until its Fault strikes. What the
// real plugin does is tested on real brokers in tests/integration.
#pragma once

#include "erlang_port/channel.hpp"
#include "sidecar/engine/broker.hpp"

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace engine_test {

// What the engine and the double said to each other; outlives the channel.
struct Record {
    std::vector<std::string> operations;  // requests of the engine, in order
    std::string outcome;                  // of job_end: "done", "failed", "cancelled", or empty
    std::uint64_t received = 0;           // messages that the engine sent
    std::uint64_t highest_unacknowledged = 0;  // bytes of payload
    std::vector<std::string> captured;         // what the engine said within each stop
};

using hot_backup::NodePath;

struct Behaviour {
    std::vector<std::string> payloads;   // of the stream; external terms
    std::optional<std::uint64_t> items;  // what stream_end claims; else what it should
    std::uint64_t close_after = 0;  // the connection closes at this message of the engine; 0: never
    erlang::Term mtime = erlang::integer(1'700'000'000);            // of rabbitmq.conf
    erlang::Term instant = erlang::integer(1'700'000'000'123'456);  // of the checkpoint
    std::string role = "rabbitmq.conf";
    std::string data_dir;  // the node's; empty: a directory of this test program with a few files
    std::vector<NodePath> directories;
    std::string metadata_store = "mnesia";
    std::string rabbitmq_version = "3.10.8";
    std::string boot_id;                // empty: the true one
    std::vector<std::string> stops;     // outcomes of the first stops in the place of the true ones
    bool committed_unseen = false;      // Mnesia's log has grown since the checkpoint
    std::function<void()> before_stop;  // what the node does up to the moment it is held
    std::vector<std::string> statistics;  // payloads of that stream
    std::string refuse;                   // the operation that is answered with an error
    std::string refuse_code = "failed";
    bool abort_stream = false;     // stream_abort in the place of stream_end
    std::uint64_t at_message = 0;  // at this message of the engine ...
    std::function<void()> then;    // ... this happens
    erlang::Term version = erlang::list({erlang::integer(1)});  // of the hello
};

// A list of Mnesia records for a payload.
std::string payload_of(const std::vector<erlang::Term>& items);
// A snapshot of a node with two vhosts, a user and a policy, in several payloads.
std::vector<std::string> small_snapshot();

// Of a plugin that does what it should, with small_snapshot().
Behaviour well_behaved();

// What the double's node has in its directory, by its path there.
const std::map<std::string, std::string>& sample_files();
// The directory with them; it lives as long as the program, and nobody writes to it.
const std::filesystem::path& sample_directory();

class PluginDouble final : public erlang::Channel {
public:
    PluginDouble(Behaviour behaviour, std::shared_ptr<Record> record);

    void send(const erlang::Term& message, erlang::Clock::time_point deadline) override;
    Received receive(erlang::Clock::time_point deadline) override;

private:
    void answer(const erlang::Term& id, const std::string& operation, const erlang::Map& arguments);
    void stop(const erlang::Term& id);
    void captured(const erlang::Map& details);
    void queue_stream(const erlang::Term& stream, const std::vector<std::string>& payloads);

    Behaviour behaviour_;
    std::shared_ptr<Record> record_;
    std::deque<erlang::Term> to_engine_;
    std::deque<std::uint64_t> unacknowledged_;
    std::uint64_t stops_ = 0;
    std::optional<erlang::Term> stop_id_;  // of the stop that waits for `captured`
    bool closed_ = false;
};

}  // namespace engine_test

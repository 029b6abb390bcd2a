#include "sidecar/engine/broker.hpp"

#include "erlang_port/external_term.hpp"
#include "sidecar/engine/fields.hpp"
#include "sidecar/engine/version.hpp"

#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace hot_backup {
namespace {

using erlang::Map;
using erlang::Term;
using namespace std::chrono_literals;

// How long the plugin may take for what is quick on an idle node, and for what Mnesia has to agree
// upon.
constexpr auto quick = 15s;
constexpr auto thorough = 60s;
// The same where every node of a cluster has its time for each step.
constexpr auto together = 120s;
// How long a stream may stand still before the backup gives up.
constexpr auto stall = 60s;

// When a configuration file was changed; 1970 for a file whose time a repository cannot write down.
Timestamp file_time(const MapFields& fields) {
    const auto* found = fields.find("mtime");
    const auto* seconds = found ? found->as<std::int64_t>() : nullptr;
    if (!seconds) {
        MapFields::throw_unexpected("configuration file", "mtime");
    }
    constexpr auto latest = std::chrono::duration_cast<std::chrono::seconds>(latest_time).count();
    return *seconds < 0 || *seconds > latest ? Timestamp{}
                                             : Timestamp{std::chrono::seconds{*seconds}};
}

ConfigurationFile configuration_file(const MapFields& fields) {
    ConfigurationFile file;
    file.role = fields.text("role");
    file.path = fields.text("path");
    if (fields.find("error")) {
        file.error = fields.text("error");
        return file;
    }
    file.content = fields.text("content");
    file.mode = static_cast<std::uint32_t>(fields.integer("mode")) & 07777U;
    file.mtime = file_time(fields);
    return file;
}

Stop::Outcome stop_outcome(const MapFields& fields) {
    const auto outcome = fields.atom("outcome");
    if (outcome == "held") {
        return Stop::Outcome::held;
    }
    if (outcome == "committed") {
        return Stop::Outcome::committed;
    }
    if (outcome == "late") {
        return Stop::Outcome::late;
    }
    if (outcome == "refused") {
        return Stop::Outcome::refused;
    }
    if (outcome == "apart") {
        return Stop::Outcome::apart;
    }
    MapFields::throw_unexpected("answer to stop", "outcome");
}

QueueStatistics queue_statistics(const MapFields& fields) {
    QueueStatistics queue;
    queue.vhost = fields.text("vhost");
    queue.name = fields.text("name");
    queue.ready = fields.optional_count("ready");
    queue.unacknowledged = fields.optional_count("unacknowledged");
    queue.bytes = fields.optional_count("bytes");
    queue.persistent = fields.optional_count("persistent");
    queue.idle_since = fields.optional_count("idle_since");
    queue.first_offset = fields.optional_count("first_offset");
    queue.last_offset = fields.optional_count("last_offset");
    return queue;
}

ServedQueue served_queue(const MapFields& fields) {
    ServedQueue queue;
    queue.vhost = fields.text("vhost");
    queue.name = fields.text("name");
    queue.type = fields.text("type");
    queue.state = fields.text("state");
    queue.nodes = fields.find("nodes") ? fields.texts("nodes") : std::vector<std::string>{};
    queue.ready = fields.optional_count("ready");
    queue.unacknowledged = fields.optional_count("unacknowledged");
    queue.directory = fields.find("directory") ? fields.text("directory") : "";
    queue.first_offset = fields.optional_count("first_offset");
    queue.last_offset = fields.optional_count("last_offset");
    return queue;
}

Broker::BackupOrder backup_order(const MapFields& fields) {
    Broker::BackupOrder order;
    order.job = fields.count("job");
    order.repository = fields.text("repository");
    if (fields.find("lock_patience")) {
        order.lock_patience = std::chrono::milliseconds(fields.integer("lock_patience"));
    }
    if (fields.find("max_pause")) {
        order.max_pause = std::chrono::milliseconds(fields.integer("max_pause"));
    }
    order.rate_limit = fields.optional_count("rate_limit");
    if (fields.find("part")) {
        const auto part = fields.object("part");
        order.part = {part.text("cluster_backup"), part.text("coordinator"), part.texts("missing")};
    }
    return order;
}

const char* code_of(const Error& error) {
    switch (error.code()) {
        case ErrorCode::interrupted:
            return "cancelled";
        case ErrorCode::locked:
            return "locked";
        default:
            return "failed";
    }
}

Term error_term(const Error& error) {
    return erlang::map({{"code", erlang::atom(code_of(error))},
                        {"message", erlang::binary(error.what())},
                        {"hint", erlang::binary(error.hint())}});
}

}  // namespace

bool ServedQueue::can_run_on(const std::vector<std::string>& running_nodes) const {
    const auto here = std::ranges::count_if(nodes, [&](const std::string& node) {
        return std::ranges::find(running_nodes, node) != running_nodes.end();
    });
    return nodes.empty() || 2 * here > std::ssize(nodes);
}

Broker::Broker(std::unique_ptr<erlang::Channel> channel, std::function<void()> interrupt)
    : connection_(std::move(channel)), interrupt_(std::move(interrupt)) {
    connection_.on_interrupt([this] {
        if (interrupt_) {
            interrupt_();
        }
        if (chore_) {
            chore_();
        }
    });
    connection_.on_notice(
        [this](const std::string& topic, const Map& details) { hear_notice(topic, details); });
    const auto info = connection_.hello(
        make_map({{"program", erlang::binary("rabbitmq-hot-backup")},
                  {"version", erlang::binary(program_version)},
                  {"os_pid", erlang::integer(static_cast<std::uint64_t>(::getpid()))}}));
    const MapFields fields("hello", info);
    identity_ = {fields.text("node"), fields.text("cluster"), fields.text("rabbitmq_version"),
                 fields.text("erlang_version"), fields.text("plugin_version"),
                 fields.atom("metadata_store"),
                 // None: a plugin of before clusters.
                 fields.find("members") ? fields.texts("members") : std::vector<std::string>{}};
}

void Broker::on_interrupt(std::function<void()> interrupt) {
    interrupt_ = std::move(interrupt);
}

void Broker::on_wait(std::function<void()> chore) {
    chore_ = std::move(chore);
}

void Broker::on_cancel(std::function<void(std::uint64_t job)> cancel) {
    cancel_ = std::move(cancel);
}

void Broker::hear_notice(const std::string& topic, const Map& details) {
    if (topic == "cancel" && cancel_) {
        cancel_(MapFields("cancel notice", details).count("job"));
    } else if (topic == "stopped") {
        capture_now(MapFields("stopped notice", details).count("stop"));
    }
}

// The VM stands still: whatever happens here, it is told at once to go on; also when nobody waits
// for the stop any more.
void Broker::capture_now(std::uint64_t stop) {
    bool captured = false;
    try {
        captured = capture_ && std::exchange(capture_, {})();
    } catch (...) {
        capture_error_ = std::current_exception();
    }
    connection_.notify("captured",
                       make_map({{"stop", erlang::integer(stop)},
                                 {"outcome", erlang::atom(captured ? "ok" : "failed")}}));
}

Job Broker::begin_job(const std::string& repository, std::optional<std::uint64_t> job) {
    std::vector<std::pair<std::string_view, Term>> arguments{
        {"kind", erlang::atom("backup")}, {"repository", erlang::binary(repository)}};
    if (job) {
        arguments.emplace_back("job", erlang::integer(*job));
    }
    const auto result = connection_.call("job_begin", make_map(std::move(arguments)), quick);
    const MapFields fields("answer to job_begin", result);
    return {fields.count("job"), std::chrono::milliseconds(fields.integer("max_pause")),
            fields.count("rate_limit")};
}

void Broker::end_job(std::uint64_t job, const JobOutcome& outcome) {
    std::vector<std::pair<std::string_view, Term>> arguments{{"job", erlang::integer(job)}};
    if (outcome.error) {
        const bool cancelled = outcome.error->code() == ErrorCode::interrupted;
        arguments.emplace_back("outcome", erlang::atom(cancelled ? "cancelled" : "failed"));
        arguments.emplace_back("error", error_term(*outcome.error));
    } else {
        arguments.emplace_back("outcome", erlang::atom("done"));
        arguments.emplace_back("backup", erlang::binary(outcome.backup));
    }
    arguments.emplace_back("bytes", erlang::integer(outcome.bytes));
    connection_.call("job_end", make_map(std::move(arguments)), quick);
}

void Broker::report_progress(std::uint64_t job, std::string_view phase, std::uint64_t done,
                             std::uint64_t total) {
    connection_.notify("progress", make_map({{"job", erlang::integer(job)},
                                             {"phase", erlang::binary(phase)},
                                             {"done", erlang::integer(done)},
                                             {"total", erlang::integer(total)}}));
}

NodeDescription Broker::describe() {
    const auto result = connection_.call("describe", {}, thorough);
    const MapFields fields("answer to describe", result);
    NodeDescription description;
    description.data_dir = fields.text("data_dir");
    description.data_dir_inode = fields.count("data_dir_inode");
    description.boot_id = fields.text("boot_id");
    description.disk_free_limit = fields.count("disk_free_limit");
    for (const auto& plugin : fields.maps("plugins")) {
        description.plugins.push_back({plugin.text("name"), plugin.text("version")});
    }
    for (const auto& directory : fields.maps("directories")) {
        description.directories.push_back({directory.text("role"), directory.text("path")});
    }
    for (const auto& file : fields.maps("node_files")) {
        description.files.push_back({file.text("role"), file.text("path")});
    }
    for (const auto& file : fields.maps("configuration")) {
        description.configuration.push_back(configuration_file(file));
    }
    return description;
}

Checkpoint Broker::begin_checkpoint(bool lock) {
    const auto result = connection_.call(
        "checkpoint_begin", make_map({{"lock", erlang::atom(lock ? "true" : "false")}}), together);
    const MapFields fields("answer to checkpoint_begin", result);
    Checkpoint checkpoint;
    checkpoint.store = fields.atom("store");
    checkpoint.tables = fields.texts("tables");
    for (const auto& table : fields.maps("skipped")) {
        checkpoint.skipped.push_back({table.text("table"), table.text("reason")});
    }
    checkpoint.instant = fields.time("instant");
    checkpoint.activation_us = fields.count("activation_us");
    if (fields.find("log")) {
        const auto log = fields.object("log");
        checkpoint.log = {log.text("path"), log.count("size"), log.count("inode")};
    }
    checkpoint.has_metadata = !fields.find("metadata") || fields.atom("metadata") == "true";
    return checkpoint;
}

Stop Broker::stop(std::chrono::milliseconds max_pause, const std::function<bool()>& capture) {
    capture_ = capture;
    capture_error_ = nullptr;
    const auto microseconds = std::chrono::microseconds(max_pause).count();
    Map result;
    try {
        result = connection_.call(
            "stop",
            make_map({{"max_pause", erlang::integer(static_cast<std::uint64_t>(microseconds))}}),
            together);
    } catch (...) {
        capture_ = {};
        throw;
    }
    capture_ = {};
    if (capture_error_) {
        std::rethrow_exception(std::exchange(capture_error_, nullptr));
    }
    const MapFields fields("answer to stop", result);
    Stop stop;
    stop.outcome = stop_outcome(fields);
    stop.instant = fields.time("instant");
    stop.acquisition_us = fields.count("acquisition_us");
    stop.hold_us = fields.count("hold_us");
    stop.pause_us = fields.count("pause_us");
    stop.store_us = fields.optional_count("store_us");
    return stop;
}

StreamCounts Broker::stream(const std::string& operation,
                            const std::function<void(std::string_view payload)>& consume,
                            Pairs arguments) {
    const auto stream = connection_.new_stream();
    arguments.emplace_back("stream", erlang::integer(stream));
    connection_.call(operation, make_map(std::move(arguments)), quick);
    const auto result = connection_.receive_stream(stream, stall, consume);
    const MapFields fields("end of the stream", result);
    return {fields.count("messages"), fields.count("bytes"), fields.count("items")};
}

StreamCounts Broker::stream_checkpoint(
    const std::function<void(std::string_view payload)>& consume) {
    return stream("checkpoint_stream", consume);
}

void Broker::stream_maps(const std::string& operation, Pairs arguments,
                         const std::function<void(const Map&)>& consume) {
    stream(
        operation,
        [&](std::string_view payload) {
            for (erlang::ListReader items(payload); const auto item = items.next();) {
                const auto term = erlang::decode_item(*item);
                const auto* map = term.as<Map>();
                if (!map) {
                    MapFields::throw_unexpected(operation, "queues");
                }
                consume(*map);
            }
        },
        std::move(arguments));
}

void Broker::stream_statistics(const std::function<void(const QueueStatistics&)>& consume) {
    stream_maps("statistics_stream", {}, [&](const Map& queue) {
        consume(queue_statistics(MapFields("statistics", queue)));
    });
}

void Broker::stream_inventory(std::chrono::milliseconds timeout,
                              const std::function<void(const ServedQueue&)>& consume) {
    const auto milliseconds = static_cast<std::uint64_t>(timeout.count());
    stream_maps("inventory_stream", {{"timeout", erlang::integer(milliseconds)}},
                [&](const Map& queue) { consume(served_queue(MapFields("inventory", queue))); });
}

void Broker::keep_alive() noexcept {
    try {
        connection_.poll();
    } catch (const std::exception&) {
        // The next operation meets the same, and needs the plugin.
    }
}

void Broker::look_up() {
    connection_.poll();
    if (interrupt_) {
        interrupt_();
    }
}

void Broker::wait(std::chrono::milliseconds time) {
    connection_.idle(time);
}

void Broker::end_checkpoint() {
    connection_.call("checkpoint_end", {}, thorough);
}

Map Broker::call(const std::string& operation, Map arguments, std::chrono::milliseconds timeout) {
    return connection_.call(operation, std::move(arguments), timeout);
}

std::optional<Broker::BackupOrder> Broker::next_order() {
    while (auto request = connection_.next_request()) {
        if (request->operation != "backup") {
            connection_.reply_error(
                *request, Error(ErrorCode::usage, "unknown operation " + request->operation,
                                "Check that the plugin and this program come from the same "
                                "release."));
            continue;
        }
        try {
            auto order = backup_order(MapFields("request for a backup", request->arguments));
            connection_.reply(*request, {});
            return order;
        } catch (const Error& error) {
            connection_.reply_error(*request, error);
        }
    }
    return std::nullopt;
}

}  // namespace hot_backup

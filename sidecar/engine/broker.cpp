#include "sidecar/engine/broker.hpp"

#include "sidecar/engine/version.hpp"

#include <unistd.h>

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
// The end of the year 9999, the last that a repository can write down.
constexpr auto latest_time = std::chrono::microseconds(253'402'300'799'999'999);
// How long a stream may stand still before the backup gives up.
constexpr auto stall = 60s;

[[noreturn]] void unexpected(std::string_view what, std::string_view key) {
    throw Error(ErrorCode::failed,
                "the plugin's " + std::string(what) + " lacks a valid `" + std::string(key) + "`",
                "Check that the plugin and this program come from the same release.");
}

Map make_map(std::vector<std::pair<std::string_view, Term>> pairs) {
    return std::get<Map>(erlang::map(std::move(pairs)).value());
}

// Reads typed values out of one map of the plugin; `what` names it in errors.
class Fields {
public:
    Fields(std::string_view what, const Map& map) : what_(what), map_(map) {}

    std::string text(std::string_view key) const {
        const auto* found = map_.find(key);
        const auto* bytes = found ? found->as<erlang::Binary>() : nullptr;
        if (!bytes) {
            unexpected(what_, key);
        }
        return bytes->bytes;
    }

    std::string atom(std::string_view key) const {
        const auto* found = map_.find(key);
        const auto* name = found ? found->as<erlang::Atom>() : nullptr;
        if (!name) {
            unexpected(what_, key);
        }
        return name->name;
    }

    std::int64_t integer(std::string_view key) const {
        const auto* found = map_.find(key);
        const auto* number = found ? found->as<std::int64_t>() : nullptr;
        if (!number || *number < 0) {
            unexpected(what_, key);
        }
        return *number;
    }

    // Unix time in microseconds.
    Timestamp time(std::string_view key) const {
        const auto microseconds = integer(key);
        if (microseconds > latest_time.count()) {
            unexpected(what_, key);
        }
        return Timestamp{std::chrono::microseconds{microseconds}};
    }

    std::uint64_t count(std::string_view key) const {
        return static_cast<std::uint64_t>(integer(key));
    }

    const std::vector<Term>& list(std::string_view key) const {
        const auto* found = map_.find(key);
        const auto* items = found ? found->as<erlang::List>() : nullptr;
        if (!items || !items->proper()) {
            unexpected(what_, key);
        }
        return items->elements;
    }

    // The maps of a list, each as Fields.
    std::vector<Fields> maps(std::string_view key) const {
        std::vector<Fields> fields;
        for (const auto& item : list(key)) {
            const auto* map = item.as<Map>();
            if (!map) {
                unexpected(what_, key);
            }
            fields.emplace_back(what_, *map);
        }
        return fields;
    }

    const Term* find(std::string_view key) const noexcept { return map_.find(key); }

private:
    std::string_view what_;
    const Map& map_;
};

// When a configuration file was changed; 1970 for a file whose time a repository cannot write down.
Timestamp file_time(const Fields& fields) {
    const auto* found = fields.find("mtime");
    const auto* seconds = found ? found->as<std::int64_t>() : nullptr;
    if (!seconds) {
        unexpected("configuration file", "mtime");
    }
    constexpr auto latest = std::chrono::duration_cast<std::chrono::seconds>(latest_time).count();
    return *seconds < 0 || *seconds > latest ? Timestamp{}
                                             : Timestamp{std::chrono::seconds{*seconds}};
}

ConfigurationFile configuration_file(const Fields& fields) {
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

Term error_term(const Error& error) {
    const bool cancelled = error.code() == ErrorCode::interrupted;
    return erlang::map({{"code", erlang::atom(cancelled ? "cancelled" : "failed")},
                        {"message", erlang::binary(error.what())},
                        {"hint", erlang::binary(error.hint())}});
}

}  // namespace

Broker::Broker(std::unique_ptr<erlang::Channel> channel, std::function<void()> interrupt)
    : connection_(std::move(channel)) {
    connection_.on_interrupt(std::move(interrupt));
    const auto info = connection_.hello(
        make_map({{"program", erlang::binary("rabbitmq-hot-backup")},
                  {"version", erlang::binary(program_version)},
                  {"os_pid", erlang::integer(static_cast<std::uint64_t>(::getpid()))}}));
    const Fields fields("hello", info);
    identity_ = {fields.text("node"), fields.text("cluster"), fields.text("rabbitmq_version"),
                 fields.text("erlang_version"), fields.text("plugin_version")};
}

void Broker::on_interrupt(std::function<void()> interrupt) {
    connection_.on_interrupt(std::move(interrupt));
}

void Broker::on_cancel(std::function<void(std::uint64_t job)> cancel) {
    connection_.on_notice(
        [cancel = std::move(cancel)](const std::string& topic, const Map& details) {
            if (topic == "cancel") {
                cancel(Fields("cancel notice", details).count("job"));
            }
        });
}

std::uint64_t Broker::begin_job(const std::string& repository, std::optional<std::uint64_t> job) {
    std::vector<std::pair<std::string_view, Term>> arguments{
        {"kind", erlang::atom("backup")}, {"repository", erlang::binary(repository)}};
    if (job) {
        arguments.emplace_back("job", erlang::integer(*job));
    }
    const auto result = connection_.call("job_begin", make_map(std::move(arguments)), quick);
    return Fields("answer to job_begin", result).count("job");
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
    const Fields fields("answer to describe", result);
    NodeDescription description;
    description.data_dir = fields.text("data_dir");
    for (const auto& plugin : fields.maps("plugins")) {
        description.plugins.push_back({plugin.text("name"), plugin.text("version")});
    }
    for (const auto& file : fields.maps("configuration")) {
        description.configuration.push_back(configuration_file(file));
    }
    return description;
}

Checkpoint Broker::begin_checkpoint() {
    const auto result = connection_.call("checkpoint_begin", {}, thorough);
    const Fields fields("answer to checkpoint_begin", result);
    Checkpoint checkpoint;
    checkpoint.store = fields.atom("store");
    for (const auto& table : fields.list("tables")) {
        const auto* name = table.as<erlang::Binary>();
        if (!name) {
            unexpected("answer to checkpoint_begin", "tables");
        }
        checkpoint.tables.push_back(name->bytes);
    }
    for (const auto& table : fields.maps("skipped")) {
        checkpoint.skipped.push_back({table.text("table"), table.text("reason")});
    }
    checkpoint.instant = fields.time("instant");
    checkpoint.activation_us = fields.count("activation_us");
    return checkpoint;
}

StreamCounts Broker::stream_checkpoint(
    const std::function<void(std::string_view payload)>& consume) {
    const auto stream = connection_.new_stream();
    connection_.call("checkpoint_stream", make_map({{"stream", erlang::integer(stream)}}), quick);
    const auto result = connection_.receive_stream(stream, stall, consume);
    const Fields fields("end of the stream", result);
    return {fields.count("messages"), fields.count("bytes"), fields.count("items")};
}

void Broker::keep_alive() noexcept {
    try {
        connection_.poll();
    } catch (const std::exception&) {
        // The next operation meets the same, and needs the plugin.
    }
}

void Broker::end_checkpoint() {
    connection_.call("checkpoint_end", {}, quick);
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
            const Fields fields("request for a backup", request->arguments);
            BackupOrder order{fields.count("job"), fields.text("repository")};
            connection_.reply(*request, {});
            return order;
        } catch (const Error& error) {
            connection_.reply_error(*request, error);
        }
    }
    return std::nullopt;
}

}  // namespace hot_backup

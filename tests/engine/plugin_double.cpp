#include "tests/engine/plugin_double.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include "sidecar/repository/process_identity.hpp"
#include "tests/harness/temp_dir.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace engine_test {

using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::Term;
using erlang::tuple;

namespace {

Term empty_map() {
    return map({});
}

Term error_map(const std::string& code) {
    return map({{"code", atom(code)},
                {"message", binary("the double refuses")},
                {"hint", binary("Ask it nicely.")}});
}

std::uint64_t inode_of(const std::filesystem::path& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

Term description(const Behaviour& behaviour) {
    const auto directory =
        behaviour.data_dir.empty() ? sample_directory() : std::filesystem::path(behaviour.data_dir);
    std::vector<Term> directories;
    for (const auto& [role, path] : behaviour.directories) {
        directories.push_back(map({{"role", binary(role)}, {"path", binary(path)}}));
    }
    const auto plugin = map({{"name", binary("rabbitmq_hot_backup")}, {"version", binary("1")}});
    const auto file = map({{"role", binary(behaviour.role)},
                           {"path", binary("/etc/rabbitmq/rabbitmq.conf")},
                           {"content", binary("listeners.tcp.default = 5672\n")},
                           {"mode", integer(0640)},
                           {"mtime", behaviour.mtime}});
    const auto unreadable = map({{"role", binary("advanced.config")},
                                 {"path", binary("/etc/rabbitmq/advanced.config")},
                                 {"error", binary("permission denied")}});
    return map({{"plugins", list({plugin})},
                {"data_dir", binary(directory.string())},
                {"data_dir_inode", integer(inode_of(directory))},
                {"boot_id", binary(behaviour.boot_id.empty() ? hot_backup::this_process().boot_id
                                                             : behaviour.boot_id)},
                {"disk_free_limit", integer(50'000'000)},
                {"directories", list(std::move(directories))},
                {"node_files", list({})},
                {"configuration", list({file, unreadable})}});
}

Term checkpoint(const Behaviour& behaviour) {
    if (behaviour.metadata_store == "khepri") {
        return map({{"checkpoint", binary("export 1")},
                    {"store", atom("khepri")},
                    {"tables", list({})},
                    {"skipped", list({})},
                    {"instant", behaviour.instant},
                    {"activation_us", integer(0)}});
    }
    const auto log = sample_directory() / "LATEST.LOG";
    const auto size = std::filesystem::file_size(log) - (behaviour.committed_unseen ? 1 : 0);
    return map({{"log", map({{"path", binary(log.string())},
                             {"size", integer(size)},
                             {"inode", integer(inode_of(log))}})},
                {"checkpoint", binary("hot_backup 1")},
                {"store", atom("mnesia")},
                {"tables", list({binary("rabbit_vhost"), binary("rabbit_user")})},
                {"skipped", list({map({{"table", binary("rabbit_node_maintenance_states")},
                                       {"reason", binary("bookkeeping")}})})},
                {"instant", behaviour.instant},
                {"activation_us", integer(900)}});
}

Term hello(const Behaviour& behaviour) {
    return tuple({atom("hello"), behaviour.version,
                  map({{"plugin_version", binary("0.1.0")},
                       {"node", binary("rabbit@double")},
                       {"cluster", binary("rabbit@double")},
                       {"rabbitmq_version", binary(behaviour.rabbitmq_version)},
                       {"erlang_version", binary("25")},
                       {"metadata_store", atom(behaviour.metadata_store)}})});
}

Term vhost(const std::string& name) {
    return tuple({atom("rabbit_vhost"), binary(name), list({}), map({})});
}

// None in a payload that is wrong on purpose.
std::uint64_t count_items(const std::string& payload) {
    try {
        const auto term = erlang::decode_message(payload);
        const auto* items = term.as<erlang::List>();
        return items ? items->elements.size() : 0;
    } catch (const hot_backup::Error&) {
        return 0;
    }
}

}  // namespace

const std::map<std::string, std::string>& sample_files() {
    static const std::map<std::string, std::string> files{
        {"LATEST.LOG", "a log of Mnesia"},
        {"msg_stores/vhosts/1/msg_store_persistent/0.rdq", std::string(50'000, 'm')},
        {"quorum/rabbit@double/00000001.wal", std::string(9'000, 'w')},
        {"empty", ""},
    };
    return files;
}

const std::filesystem::path& sample_directory() {
    static const harness::TempDir directory;
    static const bool made = [] {
        for (const auto& [name, content] : sample_files()) {
            std::filesystem::create_directories((directory / name).parent_path());
            harness::write_file(directory / name, content);
        }
        return true;
    }();
    static_cast<void>(made);
    return directory.path();
}

std::string payload_of(const std::vector<Term>& items) {
    std::string bytes;
    erlang::encode_message(list(items), bytes);
    return bytes;
}

std::vector<std::string> small_snapshot() {
    const auto user = tuple({atom("rabbit_user"), binary("guest"), binary("hash"), list({}),
                             atom("rabbit_password_hashing_sha256"), map({})});
    return {payload_of({tuple({atom("log_header"), atom("backup_log")})}),
            payload_of({tuple({atom("schema"), atom("rabbit_vhost"), list({})})}),
            payload_of({vhost("/"), vhost("gone"), vhost("second")}),
            payload_of({tuple({atom("rabbit_vhost"), binary("gone")})}), payload_of({user})};
}

Behaviour well_behaved() {
    Behaviour behaviour;
    behaviour.payloads = small_snapshot();
    return behaviour;
}

PluginDouble::PluginDouble(Behaviour behaviour, std::shared_ptr<Record> record)
    : behaviour_(std::move(behaviour)), record_(std::move(record)) {}

void PluginDouble::send(const Term& message, erlang::Clock::time_point) {
    const auto number = ++record_->received;
    if (number == behaviour_.at_message && behaviour_.then) {
        behaviour_.then();
    }
    if (behaviour_.close_after != 0 && number >= behaviour_.close_after) {
        closed_ = true;
    }
    if (closed_) {
        throw hot_backup::Error(hot_backup::ErrorCode::failed, "the double closed the connection");
    }
    const auto& name = message.element(0)->as<erlang::Atom>()->name;
    if (name == "hello") {
        to_engine_.push_back(hello(behaviour_));
    } else if (name == "request") {
        answer(*message.element(1), message.element(3)->as<erlang::Atom>()->name,
               *message.element(4)->as<erlang::Map>());
    } else if (name == "notice" && message.element(1)->is_atom("captured") && stop_id_) {
        captured(*message.element(2)->as<erlang::Map>());
    } else if (name == "ack") {
        unacknowledged_.pop_front();
    }
}

erlang::Channel::Received PluginDouble::receive(erlang::Clock::time_point) {
    if (closed_) {
        return {Received::What::closed, {}};
    }
    if (to_engine_.empty()) {
        return {Received::What::timeout, {}};
    }
    Received received{Received::What::message, std::move(to_engine_.front())};
    to_engine_.pop_front();
    if (received.message.element(0)->is_atom("data")) {
        unacknowledged_.push_back(received.message.element(3)->as<erlang::Binary>()->bytes.size());
        record_->highest_unacknowledged = std::max(
            record_->highest_unacknowledged,
            std::accumulate(unacknowledged_.begin(), unacknowledged_.end(), std::uint64_t{0}));
    }
    return received;
}

void PluginDouble::answer(const Term& id, const std::string& operation,
                          const erlang::Map& arguments) {
    record_->operations.push_back(operation);
    if (operation == behaviour_.refuse) {
        to_engine_.push_back(
            tuple({atom("reply"), id, atom("error"), error_map(behaviour_.refuse_code)}));
        return;
    }
    if (operation == "stop") {
        stop(id);
        return;
    }
    Term result = empty_map();
    if (operation == "job_begin") {
        result =
            map({{"job", integer(7)}, {"max_pause", integer(250)}, {"rate_limit", integer(0)}});
    } else if (operation == "describe") {
        result = description(behaviour_);
    } else if (operation == "checkpoint_begin") {
        result = checkpoint(behaviour_);
    } else if (operation == "job_end") {
        record_->outcome = arguments.find("outcome")->as<erlang::Atom>()->name;
    }
    to_engine_.push_back(tuple({atom("reply"), id, atom("ok"), result}));
    if (operation == "checkpoint_stream") {
        queue_stream(*arguments.find("stream"), behaviour_.payloads);
    } else if (operation == "statistics_stream") {
        queue_stream(*arguments.find("stream"), behaviour_.statistics);
    }
}

void PluginDouble::stop(const Term& id) {
    if (behaviour_.before_stop) {
        behaviour_.before_stop();
    }
    stop_id_ = id;
    if (++stops_ <= behaviour_.stops.size() && behaviour_.stops[stops_ - 1] == "never held") {
        captured({});
    } else {
        to_engine_.push_back(
            tuple({atom("notice"), atom("stopped"), map({{"stop", integer(stops_)}})}));
    }
}

void PluginDouble::captured(const erlang::Map& details) {
    const auto* said = details.find("outcome");
    record_->captured.push_back(said ? said->as<erlang::Atom>()->name : "");
    std::string outcome = said && said->is_atom("ok") ? "held" : "refused";
    if (stops_ <= behaviour_.stops.size()) {
        outcome = said ? behaviour_.stops[stops_ - 1] : "late";
    }
    std::vector<std::pair<std::string_view, Term>> result{{"outcome", atom(outcome)},
                                                          {"instant", behaviour_.instant},
                                                          {"acquisition_us", integer(900)},
                                                          {"hold_us", integer(2100)},
                                                          {"pause_us", integer(3000)}};
    if (behaviour_.metadata_store == "khepri" && outcome == "held") {
        result.emplace_back("store_us", integer(12'000));
    }
    to_engine_.push_back(tuple({atom("reply"), *std::exchange(stop_id_, std::nullopt), atom("ok"),
                                map(std::move(result))}));
}

void PluginDouble::queue_stream(const Term& stream, const std::vector<std::string>& payloads) {
    std::uint64_t bytes = 0;
    std::uint64_t items = 0;
    std::uint64_t sequence = 0;
    for (const auto& payload : payloads) {
        bytes += payload.size();
        items += count_items(payload);
        to_engine_.push_back(tuple({atom("data"), stream, integer(sequence++), binary(payload)}));
    }
    if (behaviour_.abort_stream && &payloads == &behaviour_.payloads) {
        to_engine_.push_back(tuple({atom("stream_abort"), stream, error_map("failed")}));
    } else {
        to_engine_.push_back(tuple({atom("stream_end"), stream,
                                    map({{"messages", integer(sequence)},
                                         {"bytes", integer(bytes)},
                                         {"items", integer(&payloads == &behaviour_.payloads
                                                               ? behaviour_.items.value_or(items)
                                                               : items)}})}));
    }
}

}  // namespace engine_test

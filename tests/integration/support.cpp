#include "tests/integration/support.hpp"

#include "erlang_port/error.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <sstream>

namespace integration {

using namespace harness;
using namespace std::chrono_literals;
using erlang::Map;
using erlang::Term;
using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

std::string text_of(const Map& map, std::string_view key) {
    const Term* value = map.find(key);
    if (value == nullptr) {
        return {};
    }
    if (const auto* atom = value->as<erlang::Atom>()) {
        return atom->name;
    }
    const auto* binary = value->as<erlang::Binary>();
    return binary != nullptr ? binary->bytes : std::string();
}

Job job_of(const Term& term) {
    const auto& map = std::get<Map>(term.value());
    Job job{map.find("id")->as_unsigned().value(),
            text_of(map, "state"),
            text_of(map, "backup"),
            {},
            {}};
    if (const Term* error = map.find("error")) {
        job.error_code = text_of(std::get<Map>(error->value()), "code");
        job.error_message = text_of(std::get<Map>(error->value()), "message");
    }
    return job;
}

// The map of the running job, or none.
Term current(const Broker& broker) {
    return broker.call("rabbit_hot_backup_jobs", "current", {});
}

}  // namespace

void load_module(const Broker& broker, const std::filesystem::path& source) {
    broker.eval("{ok, M, B} = compile:file(\"" + source.string() +
                "\", [binary, return_errors]), {module, M} = code:load_binary(M, \"\", B).");
}

Term probe(const Broker& broker, const std::string& function, std::vector<Term> arguments) {
    const Term loaded = broker.call("code", "is_loaded", {erlang::atom("integration_probe")});
    if (loaded.is_atom("false")) {
        load_module(broker, INTEGRATION_PROBE);
    }
    return broker.call("integration_probe", function, std::move(arguments), 2min);
}

std::string metadata_store(const Broker& broker) {
    return erlang::to_string(broker.call("rabbit_hot_backup_compat", "metadata_store", {}));
}

void add_ballast(const Broker& broker) {
    constexpr std::uint64_t record = 4000;
    probe(broker, "ballast", {erlang::integer(ballast_bytes / record), erlang::integer(record)});
}

Broker& loaded_broker() {
    static Broker& broker = [&]() -> Broker& {
        add_ballast(shared_broker());
        return shared_broker();
    }();
    return broker;
}

namespace {

void set_stall_timeout(const Broker& broker, std::chrono::milliseconds timeout) {
    broker.call("application", "set_env",
                {erlang::atom("rabbitmq_hot_backup"), erlang::atom("stall_timeout"),
                 erlang::integer(static_cast<std::uint64_t>(timeout.count()))});
}

}  // namespace

StallTimeout::StallTimeout(const Broker& broker, std::chrono::milliseconds timeout)
    : broker_(broker) {
    set_stall_timeout(broker, timeout);
}

StallTimeout::~StallTimeout() {
    try {
        set_stall_timeout(broker_, 60s);
    } catch (const hot_backup::Error&) {
        // The broker is gone, and its settings with it.
    }
}

std::vector<Job> history(const Broker& broker) {
    std::vector<Job> jobs;
    const Term finished = broker.call("rabbit_hot_backup", "history", {});
    for (const Term& job : std::get<erlang::List>(finished.value()).elements) {
        jobs.push_back(job_of(job));
    }
    return jobs;
}

std::uint64_t start_backup(const Broker& broker, const std::filesystem::path& repository) {
    const Term answer =
        broker.call("rabbit_hot_backup", "start_backup",
                    {erlang::map({{"repository", erlang::binary(repository.string())}})});
    if (!answer.element(0)->is_atom("ok")) {
        throw Error(ErrorCode::failed, "start_backup: " + erlang::to_string(answer, 2000));
    }
    return answer.element(1)->as_unsigned().value();
}

Job wait_until_finished(const Broker& broker, std::uint64_t id) {
    return *wait_for("the end of job " + std::to_string(id), 60s, [&]() -> std::optional<Job> {
        const std::vector<Job> jobs = history(broker);
        const auto found = std::ranges::find(jobs, id, &Job::id);
        return found == jobs.end() ? std::nullopt : std::optional(*found);
    });
}

StoppedBackup start_and_stop_in_stream(const Broker& broker,
                                       const std::filesystem::path& repository) {
    // A backup may be over before it is seen in its stream; then another one is made.
    for (int attempt = 0; attempt < 10; ++attempt) {
        const std::uint64_t job = start_backup(broker, repository);
        const pid_t program = broker.port_programs().at(0);
        const auto streams = [&] {
            const Term running = current(broker);
            const auto* map = running.as<Map>();
            return map != nullptr && text_of(*map, "phase") == "metadata";
        };
        wait_for("the stream", 60s, [&] { return streams() || current(broker).is_atom("none"); });
        kill(program, SIGSTOP);
        if (has_checkpoint(broker)) {
            return {job, program};
        }
        kill(program, SIGCONT);
        const Job over = wait_until_finished(broker, job);
        run_cli({"delete", over.backup, "--repository", repository});
    }
    throw hot_backup::Error(hot_backup::ErrorCode::failed, "no backup was met in its stream");
}

bool has_checkpoint(const Broker& broker) {
    return probe(broker, "held") != erlang::list({});
}

void wait_until_idle(const Broker& broker) {
    wait_for("the end of the checkpoint", 15s, [&] { return !has_checkpoint(broker); });
    wait_for("the end of the job", 15s, [&] { return current(broker).is_atom("none"); });
}

std::vector<std::string> listed(const std::filesystem::path& repository) {
    const CliResult result = run_cli({"list", "--repository", repository, "--json"});
    std::vector<std::string> ids;
    for (const nlohmann::json& line : result.lines) {
        if (line.at("message_type") == "summary") {
            ids.push_back(line.at("backup"));
        }
    }
    return ids;
}

std::size_t check_listed_is_whole(const std::filesystem::path& repository) {
    const std::vector<std::string> ids = listed(repository);
    if (!ids.empty()) {
        const CliResult verified =
            run_cli({"verify", "--all", "--repository", repository, "--json"});
        INFO(verified.output);
        CHECK(verified.exit_code == 0);
    }
    return ids.size();
}

void check_next_backup(const Broker& broker, const std::filesystem::path& repository) {
    const CliResult created = create_backup(broker, repository);
    INFO(created.output << created.error_output);
    REQUIRE(created.exit_code == 0);
    const std::size_t whole = check_listed_is_whole(repository);
    CHECK(whole > 0);

    const auto files_in = [&](const char* directory) {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(repository / directory), {}));
    };
    CHECK(files_in("manifests") == whole);
    CHECK(files_in("packs") == whole);
    CHECK_FALSE(std::filesystem::exists(repository / "lock"));
    for (const std::string& id : listed(repository)) {
        CHECK(run_cli({"delete", id, "--repository", repository}).exit_code == 0);
    }
    CHECK(files_in("packs") == 0);
}

std::vector<nlohmann::json> json_lines(const std::string& output) {
    std::vector<nlohmann::json> lines;
    std::istringstream stream(output);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
}

std::string check_one_error(const Result& result, int exit_code) {
    INFO(result.output << result.error_output);
    CHECK(result.exit_code == exit_code);
    CHECK(result.error_output.empty());
    const std::vector<nlohmann::json> lines = json_lines(result.output);
    REQUIRE(!lines.empty());
    const auto is_error = [](const nlohmann::json& line) {
        return line.at("message_type") == "error";
    };
    CHECK(std::ranges::count_if(lines, is_error) == 1);
    const nlohmann::json& error = lines.back();
    REQUIRE(is_error(error));
    CHECK(error.at("exit_code") == exit_code);
    CHECK_FALSE(error.at("hint").get<std::string>().empty());
    const std::string message = error.at("message");
    CHECK_FALSE(message.empty());
    CHECK_FALSE(message.ends_with('.'));
    return message;
}

RunningCreate::RunningCreate(const Broker& broker, const std::filesystem::path& repository)
    : Process(cli_path(), create_arguments(broker, repository), {broker.client_environment()}) {}

void RunningCreate::wait_for_phase(const std::string& phase) {
    const std::string wanted = "\"phase\":\"" + phase + "\"";
    wait_for("phase " + phase, 60s,
             [&] { return output().find(wanted) != std::string::npos || !running(); });
}

void RunningCreate::stop_in_stream() {
    wait_for_phase("metadata");
    signal(SIGSTOP);
    INFO(output() << error_output());
    REQUIRE(running());
    REQUIRE(output().find("\"phase\":\"publishing\"") == std::string::npos);
}

void enable_only(const Broker& broker, const std::string& plugins) {
    const auto file = broker.directory() / "enabled_plugins";
    write_file(file, "[" + plugins + "].\n");
    broker.eval("{ok, _, _} = rabbit_plugins:ensure(\"" + file.string() + "\").");
}

void check_leftovers(const Broker& broker) {
    CHECK(erlang::to_string(probe(broker, "leftovers"), 4000) == "[]");
    CHECK(broker.port_programs().empty());
}

void wait_for_streams(const Broker& broker) {
    // Those that were not recovered yet count, too. list_durable/0 is there from 3.13.
    const std::string all_are_up =
        "Durable = case erlang:function_exported(rabbit_amqqueue, list_durable, 0) of"
        " true -> rabbit_amqqueue:list_durable(); false -> ets:tab2list(rabbit_durable_queue) end,"
        " lists:all(fun(Q) -> amqqueue:get_type(Q) =/= rabbit_stream_queue orelse"
        " case rabbit_amqqueue:lookup(amqqueue:get_name(Q)) of"
        " {ok, Up} -> Pid = amqqueue:get_pid(Up),"
        " true =:= rpc:call(node(Pid), erlang, is_process_alive, [Pid]); _ -> false end end,"
        " Durable).";
    wait_for("the streams", 60s, [&] { return broker.eval(all_are_up).is_atom("true"); });
}

}  // namespace integration

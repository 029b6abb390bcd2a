#include "tests/exactness/examination.hpp"

#include "erlang_port/error.hpp"
#include "tests/exactness/contents.hpp"
#include "tests/harness/cluster.hpp"
#include "tests/integration/broker_definitions.hpp"
#include "tests/integration/support.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace exactness {

namespace {

// What is wrong with the logs, but for those of queues that may have been about to be deleted: of
// these a part can be gone already, as after any crash.
std::vector<std::string> problems_of(const tools::RaReport& raft, const Ledger& ledger,
                                     const Standstill& standstill) {
    std::set<std::string> deleted;
    for (const auto& [queue, time] : ledger.deletions()) {
        if (time <= standstill.end) {
            deleted.insert((queue.vhost == "/" ? "%2F" : queue.vhost) + "_" + queue.name);
        }
    }
    std::vector<std::string> problems = raft.problems;
    for (const tools::RaServer& server : raft.servers) {
        if (!deleted.contains(server.name)) {
            problems.insert(problems.end(), server.problems.begin(), server.problems.end());
        }
    }
    return problems;
}

// Empties the queues and gives the verdict.
void try_messages(const harness::Broker& booted, const Load& load, const Standstill& standstill,
                  Examination& examination) {
    // In its definitions, too, they are missing until then.
    integration::wait_for_streams(booted);
    examination.definitions = integration::exported_definitions(booted);
    const Contents contents = take_contents(booted, examination.definitions);
    examination.unavailable = contents.unavailable;
    examination.verdict =
        judge(load.ledger().records(), load.pipelines(), contents.messages, standstill);
}

void add(tools::RaReport& sum, tools::RaReport report) {
    std::ranges::move(report.servers, std::back_inserter(sum.servers));
    std::ranges::move(report.problems, std::back_inserter(sum.problems));
    sum.entries_in_wal += report.entries_in_wal;
    sum.entries_in_segments += report.entries_in_segments;
}

void add(tools::StreamReport& sum, tools::StreamReport report) {
    sum.segments += report.segments;
    sum.records += report.records;
    std::ranges::move(report.problems, std::back_inserter(sum.problems));
}

}  // namespace

nlohmann::json without_deleted_queues(nlohmann::json definitions, const Ledger& ledger,
                                      const Standstill& standstill) {
    const auto deletions = ledger.deletions();
    const auto is_of_one = [&](const nlohmann::json& definition) {
        const char* key = definition.contains("destination") ? "destination" : "name";
        const auto found = deletions.find({definition.at("vhost"), definition.at(key)});
        return found != deletions.end() && found->second <= standstill.end;
    };
    for (const char* category : {"queues", "bindings"}) {
        auto& all = definitions.at(category);
        all.erase(std::remove_if(all.begin(), all.end(), is_of_one), all.end());
    }
    return definitions;
}

bool Examination::exact() const {
    return boot_failure.empty() && trespass.empty() && raft_problems.empty() &&
           streams.problems.empty() && verdict.exact();
}

std::string Examination::summary() const {
    std::string text = std::to_string(verdict.checks) + " checks";
    for (const Fault fault : {Fault::lost, Fault::neither, Fault::damaged}) {
        text += ", " + std::to_string(verdict.count(fault)) + " " + to_string(fault);
    }
    for (const auto& [fault, count] : verdict.faults) {
        if (fault != Fault::lost && fault != Fault::neither && fault != Fault::damaged) {
            text += ", " + std::to_string(count) + " " + to_string(fault);
        }
    }
    text += "; Raft: " + std::to_string(raft.servers.size()) + " logs, " +
            std::to_string(raft.entries_in_wal) + " + " + std::to_string(raft.entries_in_segments) +
            " entries, " + std::to_string(raft_problems.size()) +
            " problems; streams: " + std::to_string(streams.records) + " records, " +
            std::to_string(streams.problems.size()) + " problems";
    return text + (boot_failure.empty() ? "" : "; it does not serve");
}

std::string Examination::problems() const {
    std::string text = boot_failure;
    for (const auto* list :
         {&raft_problems, &streams.problems, &verdict.examples, &trespass, &unavailable}) {
        for (const std::string& problem : *list) {
            text += (text.empty() ? "" : "\n") + problem;
        }
    }
    return text;
}

Examination examine(const tools::Image& image, const harness::Broker& original, const Load& load,
                    const Standstill& standstill) {
    Examination examination;
    examination.raft = tools::read_ra_logs(image.data_directory());
    examination.streams = tools::read_streams(image.data_directory());
    examination.raft_problems = problems_of(examination.raft, load.ledger(), standstill);
    try {
        const harness::Broker booted({.hot_backup = false, .data = image.base, .node = image.node});
        try_messages(booted, load, standstill, examination);
        // Every queue was used by now.
        examination.trespass = tools::open_below(booted.pid(), original.data_base());
    } catch (const hot_backup::Error& error) {
        examination.boot_failure = error.what();
    }
    return examination;
}

Examination examine(const std::vector<tools::Image>& images, const Load& load,
                    const Standstill& standstill) {
    Examination examination;
    std::vector<harness::NodeImage> nodes;
    for (const auto& image : images) {
        add(examination.raft, tools::read_ra_logs(image.data_directory()));
        add(examination.streams, tools::read_streams(image.data_directory()));
        nodes.push_back({image.base, image.node});
    }
    examination.raft_problems = problems_of(examination.raft, load.ledger(), standstill);
    try {
        const harness::Cluster booted(nodes, {.hot_backup = false});
        try_messages(booted.at(0), load, standstill, examination);
    } catch (const hot_backup::Error& error) {
        examination.boot_failure = error.what();
    }
    return examination;
}

}  // namespace exactness

// Against a real broker: our definitions of a snapshot equal its own export of the same instant,
// and import into a fresh node gives them again.
#include "sidecar/definitions/definitions.hpp"
#include "tests/definitions/snapshot_builder.hpp"
#include "tests/harness/broker.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace hot_backup;
using namespace harness;
using nlohmann::json;

namespace {

// Makes the probe's module known to the node.
void load_probe(const Broker& broker) {
    broker.eval("{ok, M, B} = compile:file(\"" DEFINITIONS_PROBE
                "\", [binary, return_errors]), {module, M} = code:load_binary(M, \"\", B).");
}

void probe(const Broker& broker, const std::string& call) {
    broker.eval("ok = definitions_probe:" + call + ".", std::chrono::minutes(2));
}

std::string quoted(const std::filesystem::path& path) {
    return "\"" + path.string() + "\"";
}

std::string version_text() {
    const auto version = tested_version();
    return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
           std::to_string(version.patch);
}

std::string definitions_of(const std::filesystem::path& file) {
    snapshot_builder::MemorySource source(read_file(file));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::ostringstream out;
    const auto report = write_definitions(snapshot, {.rabbitmq_version = version_text()}, out);
    CHECK(report.replaced_strings == 0);
    return out.str();
}

// The broker's encoders write an empty property list as an array, ours as an object.
void normalise(json& definition) {
    for (const auto* key : {"limits", "metadata", "value"}) {
        if (definition.contains(key) && definition[key] == json::array()) {
            definition[key] = json::object();
        }
    }
}

// RabbitMQ 3.8 exports bindings without their arguments, and imports virtual hosts without their
// descriptions and tags.
void drop_what_3_8_loses(json& document, bool imported) {
    if (tested_version() >= hot_backup::RabbitmqVersion{3, 9, 0}) {
        return;
    }
    for (auto& binding : document["bindings"]) {
        binding["arguments"] = json::object();
    }
    for (auto& vhost : document["vhosts"]) {
        if (imported) {
            vhost.erase("metadata");
        }
    }
}

// The two documents hold the same definitions; their order within a category is nobody's promise.
void check_equal(json ours, json brokers) {
    for (auto* document : {&ours, &brokers}) {
        for (auto& category : *document) {
            if (category.is_array()) {
                std::for_each(category.begin(), category.end(), normalise);
                std::sort(category.begin(), category.end());
            }
        }
    }
    std::vector<std::string> keys;
    for (const auto& [key, category] : brokers.items()) {
        INFO(key);
        keys.push_back(key);
        REQUIRE(ours.contains(key));
        CHECK(ours[key].size() == category.size());
        CHECK(json::diff(category, ours[key]).dump(1) == "[]");
    }
    CHECK(ours.size() == keys.size());
}

// The broker exports no internal exchange, so an importer cannot restore the bindings of one;
// RabbitMQ 4 then takes nothing of the document.
void drop_bindings_of_internal_exchange(json& document) {
    auto& bindings = document["bindings"];
    bindings.erase(std::remove_if(bindings.begin(), bindings.end(),
                                  [](const json& binding) {
                                      return binding["source"] == "internal" ||
                                             binding["destination"] == "internal";
                                  }),
                   bindings.end());
}

}  // namespace

TEST_CASE("definitions equal the broker's export, and a fresh node takes them") {
    const Broker broker({.hot_backup = false});
    load_probe(broker);
    probe(broker, "declare()");
    probe(broker, "declare_many(300, 3000)");
    const auto& directory = broker.directory();
    probe(broker, "snapshot(" + quoted(directory) + ", changes)");

    const auto ours = definitions_of(directory / "snapshot");
    auto expected = json::parse(read_file(directory / "export.json"));
    // One of everything: an empty category would prove nothing.
    for (const auto& [key, category] : expected.items()) {
        INFO(key);
        CHECK_FALSE(category.empty());
    }
    auto backed_up = json::parse(ours);
    for (auto* document : {&backed_up, &expected}) {
        drop_what_3_8_loses(*document, false);
    }
    check_equal(backed_up, expected);

    const Broker fresh({.hot_backup = false});
    auto importable = json::parse(ours);
    drop_bindings_of_internal_exchange(importable);
    write_file(fresh.directory() / "definitions.json", importable.dump());
    fresh.rabbitmqctl({"import_definitions", (fresh.directory() / "definitions.json").string()});
    load_probe(fresh);
    probe(fresh, "export(" + quoted(fresh.directory() / "export.json") + ")");
    drop_bindings_of_internal_exchange(expected);
    auto taken = json::parse(read_file(fresh.directory() / "export.json"));
    for (auto* document : {&taken, &expected}) {
        drop_what_3_8_loses(*document, true);
    }
    check_equal(taken, expected);
}

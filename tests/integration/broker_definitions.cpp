#include "tests/integration/broker_definitions.hpp"

#include "tests/harness/temp_dir.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

namespace integration {

using nlohmann::json;

namespace {

bool is_of_3_8() {
    return harness::tested_version() < hot_backup::RabbitmqVersion{3, 9, 0};
}

// The broker's encoders write an empty property list as an array, ours as an object.
json normalised(json definition) {
    for (const char* key : {"limits", "metadata", "value"}) {
        if (definition.contains(key) && definition[key] == json::array()) {
            definition[key] = json::object();
        }
    }
    // RabbitMQ 3.8 exports bindings without their arguments.
    if (is_of_3_8() && definition.contains("source")) {
        definition["arguments"] = json::object();
    }
    return definition;
}

std::multiset<json> as_set(const json& category) {
    std::multiset<json> definitions;
    for (const json& definition : category) {
        definitions.insert(normalised(definition));
    }
    return definitions;
}

std::string only_in(const std::multiset<json>& some, const std::multiset<json>& others) {
    json found = json::array();
    std::ranges::set_difference(some, others, std::back_inserter(found));
    return found.dump(1);
}

}  // namespace

json exported_definitions(const harness::Broker& broker) {
    load_module(broker, DEFINITIONS_PROBE);
    const harness::TempDir files;
    const auto file = files / "export.json";
    broker.eval("ok = definitions_probe:export(\"" + file.string() + "\").",
                std::chrono::minutes(2));
    return json::parse(harness::read_file(file));
}

void check_same_definitions(const json& ours, const json& brokers) {
    CHECK(ours.size() == brokers.size());
    for (const auto& [key, category] : brokers.items()) {
        INFO(key);
        REQUIRE(ours.contains(key));
        if (!category.is_array()) {
            CHECK(ours.at(key) == category);
            continue;
        }
        const auto expected = as_set(category);
        const auto found = as_set(ours.at(key));
        CHECK(only_in(expected, found) == "[]");
        CHECK(only_in(found, expected) == "[]");
    }
}

json as_imported(json definitions) {
    if (is_of_3_8()) {
        for (json& vhost : definitions.at("vhosts")) {
            vhost.erase("metadata");
        }
    }
    return definitions;
}

json without_bindings_of(json definitions, const std::string& exchange) {
    json& bindings = definitions.at("bindings");
    const auto is_its = [&](const json& binding) {
        return binding.at("source") == exchange || (binding.at("destination") == exchange &&
                                                    binding.at("destination_type") == "exchange");
    };
    bindings.erase(std::remove_if(bindings.begin(), bindings.end(), is_its), bindings.end());
    return definitions;
}

}  // namespace integration

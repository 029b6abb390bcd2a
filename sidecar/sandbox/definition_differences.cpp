#include "sidecar/sandbox/definition_differences.hpp"

#include "sidecar/definitions/definitions.hpp"

#include <array>
#include <string_view>
#include <utility>

namespace hot_backup {
namespace {

struct Section {
    std::string_view name;  // in the document
    std::string_view kind;  // of one of its definitions
};
constexpr std::array sections{
    Section{"users", "user"},
    Section{"vhosts", "vhost"},
    Section{"permissions", "permission"},
    Section{"topic_permissions", "topic permission"},
    Section{"parameters", "parameter"},
    Section{"global_parameters", "global parameter"},
    Section{"policies", "policy"},
    Section{"queues", "queue"},
    Section{"exchanges", "exchange"},
    Section{"bindings", "binding"},
};

std::string kind_of(std::string_view section) {
    for (const auto& known : sections) {
        if (known.name == section) {
            return std::string(known.kind);
        }
    }
    return std::string(section);
}

std::string text(const Json& definition, const char* key) {
    const auto found = definition.find(key);
    return found != definition.end() && found->is_string() ? found->get<std::string>() : "";
}

// What tells a definition from the others of its section and vhost. A binding is nothing but that.
std::string name_of(std::string_view section, const Json& definition) {
    if (section == "permissions") {
        return text(definition, "user");
    }
    if (section == "topic_permissions") {
        return text(definition, "user") + " on " + text(definition, "exchange");
    }
    if (section == "parameters") {
        return text(definition, "component") + " " + text(definition, "name");
    }
    if (section == "bindings") {
        const auto arguments = definition.value("arguments", Json::object());
        return text(definition, "source") + " -> " + text(definition, "destination_type") + " " +
               text(definition, "destination") + " (" + text(definition, "routing_key") + ")" +
               (arguments.empty() ? "" : " " + to_line(arguments));
    }
    return text(definition, "name");
}

struct Key {
    std::string section;
    std::string vhost;
    std::string name;
    auto operator<=>(const Key&) const = default;
};

Key key_of(std::string_view section, const Json& definition) {
    return {std::string(section), text(definition, "vhost"), name_of(section, definition)};
}

// Of both, the fields that are not the same.
std::pair<Json, Json> changed_fields(const Json& expected, const Json& found) {
    Json before = Json::object();
    Json after = Json::object();
    for (const auto& [key, value] : expected.items()) {
        if (!found.contains(key)) {
            before[key] = value;
        } else if (found.at(key) != value) {
            before[key] = value;
            after[key] = found.at(key);
        }
    }
    for (const auto& [key, value] : found.items()) {
        if (!expected.contains(key)) {
            after[key] = value;
        }
    }
    return {before, after};
}

Difference make_difference(const Key& key, Json expected, Json found) {
    return {kind_of(key.section), key.vhost,           key.name,
            "definition",         std::move(expected), std::move(found)};
}

}  // namespace

DefinitionCounts find_definition_differences(Snapshot& expected, Snapshot& found,
                                             const std::string& rabbitmq_version,
                                             const ReportDifference& report) {
    const DefinitionsHeader header{rabbitmq_version};
    DefinitionCounts counts;
    std::map<Key, std::string> missing;
    for_each_definition(expected, header, [&](std::string_view section, std::string_view text) {
        ++counts[std::string(section)];
        missing.emplace(key_of(section, Json::parse(text)), text);
    });
    for_each_definition(found, header, [&](std::string_view section, std::string_view text) {
        auto definition = Json::parse(text);
        const auto key = key_of(section, definition);
        const auto known = missing.find(key);
        if (known == missing.end()) {
            report(make_difference(key, nullptr, std::move(definition)));
            return;
        }
        if (known->second != text) {
            auto [before, after] = changed_fields(Json::parse(known->second), definition);
            if (!before.empty() || !after.empty()) {
                report(make_difference(key, std::move(before), std::move(after)));
            }
        }
        missing.erase(known);
    });
    for (const auto& [key, text] : missing) {
        report(make_difference(key, Json::parse(text), nullptr));
    }
    return counts;
}

}  // namespace hot_backup

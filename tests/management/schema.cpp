#include "tests/management/schema.hpp"

#include <algorithm>
#include <map>

namespace management_tests {

using Json = nlohmann::json;

namespace {

bool is_of(const std::string& type, const Json& value) {
    static const std::map<std::string, bool (*)(const Json&)> checks{
        {"string", [](const Json& v) { return v.is_string(); }},
        {"integer", [](const Json& v) { return v.is_number_integer(); }},
        {"number", [](const Json& v) { return v.is_number(); }},
        {"boolean", [](const Json& v) { return v.is_boolean(); }},
        {"array", [](const Json& v) { return v.is_array(); }},
        {"object", [](const Json& v) { return v.is_object(); }}};
    return checks.at(type)(value);
}

std::string object_mismatch(const Json& value, const Json& schema, const Json& document,
                            const std::string& place) {
    for (const auto& name : schema.value("required", Json::array())) {
        if (!value.contains(name)) {
            return place + " lacks " + name.get<std::string>();
        }
    }
    const auto properties = schema.value("properties", Json::object());
    for (const auto& [name, member] : value.items()) {
        if (properties.contains(name)) {
            if (auto found = mismatch(member, properties[name], document, place + "." + name);
                !found.empty()) {
                return found;
            }
        } else if (!schema.value("additionalProperties", true)) {
            return place + " has " + name + ", which is not documented";
        }
    }
    return {};
}

std::string one_of_mismatch(const Json& value, const Json& schemas, const Json& document,
                            const std::string& place) {
    std::string all;
    for (const auto& schema : schemas) {
        const auto found = mismatch(value, schema, document, place);
        if (found.empty()) {
            return {};
        }
        all += (all.empty() ? "" : "; or ") + found;
    }
    return all;
}

}  // namespace

std::string mismatch(const Json& value, const Json& schema, const Json& document,
                     const std::string& place) {
    if (schema.contains("$ref")) {
        const auto pointer = schema["$ref"].get<std::string>().substr(1);
        return mismatch(value, document.at(Json::json_pointer(pointer)), document, place);
    }
    if (value.is_null() && schema.value("nullable", false)) {
        return {};
    }
    if (schema.contains("oneOf")) {
        return one_of_mismatch(value, schema["oneOf"], document, place);
    }
    if (schema.contains("allOf")) {
        return mismatch(value, schema["allOf"][0], document, place);
    }
    if (!is_of(schema.at("type"), value)) {
        return place + " is no " + schema["type"].get<std::string>() + ": " + value.dump();
    }
    if (schema.contains("enum") &&
        !std::count(schema["enum"].begin(), schema["enum"].end(), value)) {
        return place + " is none of " + schema["enum"].dump() + ": " + value.dump();
    }
    if (value.is_object()) {
        return object_mismatch(value, schema, document, place);
    }
    if (value.is_array() && schema.contains("items")) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            if (auto found = mismatch(value[i], schema["items"], document,
                                      place + "[" + std::to_string(i) + "]");
                !found.empty()) {
                return found;
            }
        }
    }
    return {};
}

}  // namespace management_tests

// The part of JSON Schema that docs/openapi.json uses, for a test to check answers with.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace management_tests {

// What is wrong with `value`, the first thing found; empty when it is as `schema` says. `document`
// is what `$ref` points into.
std::string mismatch(const nlohmann::json& value, const nlohmann::json& schema,
                     const nlohmann::json& document, const std::string& place = "$");

}  // namespace management_tests

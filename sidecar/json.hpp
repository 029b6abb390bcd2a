// The one place that includes nlohmann/json.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace hot_backup {

using Json = nlohmann::json;
// Keeps the order in which keys are written.
using OrderedJson = nlohmann::ordered_json;

// One line of JSON. Bytes that are not UTF-8 (a path may hold any) become U+FFFD instead of an
// exception.
template <class AnyJson>
std::string to_line(const AnyJson& json) {
    return json.dump(-1, ' ', false, AnyJson::error_handler_t::replace);
}

}  // namespace hot_backup

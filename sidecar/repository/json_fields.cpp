#include "sidecar/repository/json_fields.hpp"

namespace hot_backup {
namespace {

[[noreturn]] void bad(const char* key, const char* problem) {
    throw BadField(std::string("\"") + key + "\" " + problem);
}

}  // namespace

Fields::Fields(const Json& object) : object_(object) {
    if (!object.is_object()) {
        throw BadField("something else stands where an object must be");
    }
}

const Json& Fields::member(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) {
        bad(key, "is missing");
    }
    return *found;
}

const std::string& Fields::text(const char* key) const {
    const Json& value = member(key);
    if (!value.is_string()) {
        bad(key, "is not a string");
    }
    return value.get_ref<const std::string&>();
}

std::uint64_t Fields::number(const char* key, std::uint64_t max) const {
    const Json& value = member(key);
    if (!value.is_number_unsigned()) {
        bad(key, "is not a whole number");
    }
    const auto number = value.get<std::uint64_t>();
    if (number > max) {
        bad(key, "is too large");
    }
    return number;
}

std::int64_t Fields::offset(const char* key) const {
    const Json& value = member(key);
    if (!value.is_number_integer()) {
        bad(key, "is not a whole number");
    }
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) {
        bad(key, "is too large");
    }
    return value.get<std::int64_t>();
}

bool Fields::boolean(const char* key) const {
    const Json& value = member(key);
    if (!value.is_boolean()) {
        bad(key, "is neither true nor false");
    }
    return value.get<bool>();
}

Timestamp Fields::time(const char* key) const {
    const auto time = parse_timestamp(text(key));
    if (!time) {
        bad(key, "is not a time");
    }
    return *time;
}

Digest Fields::digest(const char* key) const {
    const auto digest = Digest::from_hex(text(key));
    if (!digest) {
        bad(key, "is not a digest");
    }
    return *digest;
}

const Json& Fields::array(const char* key) const {
    const Json& value = member(key);
    if (!value.is_array()) {
        bad(key, "is not an array");
    }
    return value;
}

Fields Fields::object(const char* key) const {
    const Json& value = member(key);
    if (!value.is_object()) {
        bad(key, "is not an object");
    }
    return Fields(value);
}

Json parse_object(std::string_view line) {
    Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
        throw BadField("a line is not a JSON object");
    }
    return json;
}

}  // namespace hot_backup

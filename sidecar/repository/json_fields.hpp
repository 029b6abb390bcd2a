// Strict access to the members of a JSON object that was read from a repository.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/repository/checksum.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// A member is missing or is not what it must be. It does not know its file: who reads the file
// turns it into an Error.
class BadField : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// Refers to the object, which outlives it. Every getter throws BadField.
class Fields {
public:
    explicit Fields(const Json& object);

    bool has(const char* key) const { return object_.contains(key); }
    const std::string& text(const char* key) const;
    // From 0 to `max`.
    std::uint64_t number(const char* key, std::uint64_t max = INT64_MAX) const;
    // Below zero, too.
    std::int64_t offset(const char* key) const;
    bool boolean(const char* key) const;
    Timestamp time(const char* key) const;
    Digest digest(const char* key) const;
    const Json& array(const char* key) const;
    Fields object(const char* key) const;

private:
    const Json& member(const char* key) const;

    const Json& object_;
};

// The JSON object in `line`. Throws BadField.
Json parse_object(std::string_view line);

}  // namespace hot_backup

// Typed values out of the maps that the plugin sends: docs/protocol.md.
#pragma once

#include "erlang_port/error.hpp"
#include "erlang_port/term.hpp"
#include "sidecar/repository/timestamp.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hot_backup {

// The end of the year 9999, the last that a repository can write down.
inline constexpr auto latest_time = std::chrono::microseconds(253'402'300'799'999'999);

// Views one map. What is not there or of another type is Error failed: plugin and program do not
// fit together.
class MapFields {
public:
    // `what` names the map in errors. Both outlive the fields.
    MapFields(std::string_view what, const erlang::Map& map) : what_(what), map_(map) {}

    std::string text(std::string_view key) const;
    std::string atom(std::string_view key) const;
    // Not negative.
    std::int64_t integer(std::string_view key) const;
    std::uint64_t count(std::string_view key) const;
    std::optional<std::uint64_t> optional_count(std::string_view key) const;
    // Unix time in microseconds.
    Timestamp time(std::string_view key) const;
    const std::vector<erlang::Term>& list(std::string_view key) const;
    // The binaries of a list.
    std::vector<std::string> texts(std::string_view key) const;
    MapFields object(std::string_view key) const;
    // The maps of a list, each as MapFields.
    std::vector<MapFields> maps(std::string_view key) const;
    const erlang::Term* find(std::string_view key) const noexcept { return map_.find(key); }

    [[noreturn]] static void throw_unexpected(std::string_view what, std::string_view key);

private:
    template <typename T>
    const T& get(std::string_view key) const {
        const auto* found = find(key);
        const auto* value = found ? found->as<T>() : nullptr;
        if (!value) {
            throw_unexpected(what_, key);
        }
        return *value;
    }

    std::string_view what_;
    const erlang::Map& map_;
};

// The plugin's error under a key.
Error error_of(const erlang::Map& map, std::string_view key);

// A list of binaries.
erlang::Term binaries(const std::vector<std::string>& texts);

// The arguments of a request.
erlang::Map make_map(std::vector<std::pair<std::string_view, erlang::Term>> pairs);

}  // namespace hot_backup

#include "sidecar/engine/fields.hpp"

#include "erlang_port/plugin_error.hpp"

namespace hot_backup {

using erlang::Map;

std::string MapFields::text(std::string_view key) const {
    return get<erlang::Binary>(key).bytes;
}

std::string MapFields::atom(std::string_view key) const {
    return get<erlang::Atom>(key).name;
}

std::int64_t MapFields::integer(std::string_view key) const {
    const auto number = get<std::int64_t>(key);
    if (number < 0) {
        throw_unexpected(what_, key);
    }
    return number;
}

std::uint64_t MapFields::count(std::string_view key) const {
    return static_cast<std::uint64_t>(integer(key));
}

std::optional<std::uint64_t> MapFields::optional_count(std::string_view key) const {
    return find(key) ? std::optional(count(key)) : std::nullopt;
}

Timestamp MapFields::time(std::string_view key) const {
    const auto microseconds = integer(key);
    if (microseconds > latest_time.count()) {
        throw_unexpected(what_, key);
    }
    return Timestamp{std::chrono::microseconds{microseconds}};
}

const std::vector<erlang::Term>& MapFields::list(std::string_view key) const {
    const auto& items = get<erlang::List>(key);
    if (!items.proper()) {
        throw_unexpected(what_, key);
    }
    return items.elements;
}

std::vector<std::string> MapFields::texts(std::string_view key) const {
    std::vector<std::string> found;
    for (const auto& item : list(key)) {
        const auto* text = item.as<erlang::Binary>();
        if (!text) {
            throw_unexpected(what_, key);
        }
        found.push_back(text->bytes);
    }
    return found;
}

MapFields MapFields::object(std::string_view key) const {
    return {what_, get<Map>(key)};
}

std::vector<MapFields> MapFields::maps(std::string_view key) const {
    std::vector<MapFields> fields;
    for (const auto& item : list(key)) {
        const auto* map = item.as<Map>();
        if (!map) {
            throw_unexpected(what_, key);
        }
        fields.emplace_back(what_, *map);
    }
    return fields;
}

void MapFields::throw_unexpected(std::string_view what, std::string_view key) {
    throw Error(ErrorCode::failed,
                "the plugin's " + std::string(what) + " lacks a valid `" + std::string(key) + "`",
                "Check that the plugin and this program come from the same release.");
}

Error error_of(const Map& map, std::string_view key) {
    const auto* found = map.find(key);
    const auto* error = found ? found->as<Map>() : nullptr;
    if (!error) {
        MapFields::throw_unexpected("error", key);
    }
    return erlang::plugin_error(*error);
}

erlang::Term binaries(const std::vector<std::string>& texts) {
    std::vector<erlang::Term> terms;
    for (const auto& text : texts) {
        terms.push_back(erlang::binary(text));
    }
    return erlang::list(std::move(terms));
}

Map make_map(std::vector<std::pair<std::string_view, erlang::Term>> pairs) {
    return std::get<Map>(erlang::map(std::move(pairs)).value());
}

}  // namespace hot_backup

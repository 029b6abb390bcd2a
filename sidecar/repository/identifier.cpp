#include "sidecar/repository/identifier.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace hot_backup {
namespace {

constexpr std::size_t id_size = 20;  // YYYYMMDDTHHMMSS.mmmZ

// YYYYMMDDTHHMMSS.mmmZ as YYYY-MM-DDTHH:MM:SS.mmmZ. `id` has the length of an ID.
std::optional<Timestamp> time_of(std::string_view id) {
    std::string text;
    text.append(id.substr(0, 4)).append("-");
    text.append(id.substr(4, 2)).append("-");
    text.append(id.substr(6, 5)).append(":");
    text.append(id.substr(11, 2)).append(":");
    text.append(id.substr(13));
    return parse_timestamp(text);
}

std::string id_of(Timestamp time) {
    std::string text = to_text(std::chrono::floor<std::chrono::milliseconds>(time));
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text.substr(0, id_size - 1) + 'Z';
}

}  // namespace

std::string next_backup_id(Timestamp start, std::string_view last) {
    std::string id = id_of(start);
    const bool follows_last = id <= last;
    if (follows_last) {
        id = id_of(*time_of(last) + std::chrono::milliseconds{1});
    }
    if (is_backup_id(id)) {
        return id;
    }
    if (follows_last) {
        const std::string highest(last);
        throw Error(
            ErrorCode::failed,
            "the repository has files of backup " + highest + ", and no ID follows that one",
            "Move the files whose names begin with " + highest +
                " out of the repository's manifests and packs: the clock was wrong when "
                "they were made.");
    }
    throw Error(ErrorCode::failed, "the clock says " + to_text(start) + ", which no ID can name",
                "Set the clock of this host, then try again.");
}

bool is_backup_id(std::string_view text) {
    return text.size() == id_size && text[15] == '.' && time_of(text).has_value();
}

std::string pack_name(std::string_view backup_id, unsigned number) {
    std::array<char, 16> digits{};
    const int size = std::snprintf(digits.data(), digits.size(), ".%04u", number);
    return std::string(backup_id).append(digits.data(), static_cast<std::size_t>(size));
}

bool is_pack_name(std::string_view text) {
    if (text.size() < id_size + 5 || text.size() > id_size + 11 || text[id_size] != '.' ||
        !is_backup_id(text.substr(0, id_size))) {
        return false;
    }
    const std::string_view digits = text.substr(id_size + 1);
    return std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view backup_of_pack(std::string_view pack_name) {
    return pack_name.substr(0, id_size);
}

}  // namespace hot_backup

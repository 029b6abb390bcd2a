#include "sidecar/restore/relocation.hpp"

#include "sidecar/restore/erlang_text.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

bool lies_below(const std::string& path, const std::string& directory) {
    return path.starts_with(directory) &&
           (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string without_slash(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
    return path;
}

}  // namespace

void Relocation::add(const Path& from, const Path& to) {
    Move move{without_slash(from.string()), without_slash(to.string())};
    const auto place = std::ranges::find_if(
        moves_, [&](const Move& other) { return other.from.size() < move.from.size(); });
    moves_.insert(place, std::move(move));
}

bool Relocation::moves() const {
    return std::ranges::any_of(moves_, [](const Move& move) { return move.from != move.to; });
}

std::string Relocation::moved(const std::string& path) const {
    const auto move =
        std::ranges::find_if(moves_, [&](const Move& each) { return lies_below(path, each.from); });
    return move == moves_.end() ? path : move->to + path.substr(move->from.size());
}

std::string Relocation::moved_config(const std::string& text, const Path& file) const {
    Relocation all = *this;
    const auto parts = parts_of_erlang_text(text);
    for (std::size_t n = 0; n + 2 < parts.size(); ++n) {
        const bool names_directory = parts[n].text == "data_dir" && parts[n + 1].text == "=>";
        if (names_directory && parts[n + 2].string) {
            all.add(*parts[n + 2].string, file.parent_path().parent_path());
        }
    }
    std::string result;
    std::size_t copied = 0;
    for (const ErlangPart& part : parts) {
        const std::string now = part.string ? all.moved(*part.string) : std::string();
        if (part.string && now != *part.string) {
            result.append(text, copied, part.begin - copied);
            result += to_erlang_text(now);
            copied = part.end;
        }
    }
    return result.append(text, copied);
}

}  // namespace hot_backup

#include "sidecar/restore/relocation.hpp"

#include "sidecar/restore/erlang_text.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

std::string without_slash(std::string path) {
    while (path.ends_with('/')) {
        path.pop_back();
    }
    return path;
}

// Whether a path that begins so many directories deep may lead above the first of them. Only `..`
// at its beginning is what it seems: later on, what is before it may be a link itself.
bool may_climb_out(const Path& path, std::ptrdiff_t depth) {
    const auto climbing = [](const Path& part) { return part == ".."; };
    const auto first = std::ranges::find_if_not(path, climbing);
    return std::distance(path.begin(), first) > depth || std::any_of(first, path.end(), climbing);
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
        std::ranges::find_if(moves_, [&](const Move& each) { return is_within(path, each.from); });
    return move == moves_.end() ? path : move->to + path.substr(move->from.size());
}

std::optional<std::string> Relocation::moved_link(const std::string& target, const Path& link,
                                                  const Path& directory) const {
    const Path around = link.parent_path().lexically_relative(directory);
    const bool at_top = around == ".";
    if (Path(target).is_relative()) {
        const auto depth = at_top ? 0 : std::distance(around.begin(), around.end());
        return may_climb_out(target, depth) ? std::nullopt : std::optional(target);
    }
    if (may_climb_out(Path(target).relative_path(), 0)) {
        return std::nullopt;
    }
    const std::string now = moved(target);
    if (is_within(now, directory.native())) {
        return now;
    }
    const Path as_spelled(target);
    if (!at_top && as_spelled.parent_path().native().ends_with("/" + around.native())) {
        return (link.parent_path() / as_spelled.filename()).native();
    }
    return std::nullopt;
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

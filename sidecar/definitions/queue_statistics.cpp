#include "sidecar/definitions/queue_statistics.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/definitions/text.hpp"
#include "sidecar/json.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace hot_backup {
namespace {

// Of names that have 255 bytes as a rule, each of which may have become six characters.
constexpr std::size_t longest_line = std::size_t{64} << 10;

using Number = std::optional<std::uint64_t> QueueStatistics::*;
constexpr std::array<std::pair<const char*, Number>, 7> numbers{{
    {"ready", &QueueStatistics::ready},
    {"unacknowledged", &QueueStatistics::unacknowledged},
    {"bytes", &QueueStatistics::bytes},
    {"persistent", &QueueStatistics::persistent},
    {"idle_since", &QueueStatistics::idle_since},
    {"first_offset", &QueueStatistics::first_offset},
    {"last_offset", &QueueStatistics::last_offset},
}};

}  // namespace

std::string to_line(const QueueStatistics& queue) {
    OrderedJson json{{"vhost", replace_invalid_utf8(queue.vhost)},
                     {"name", replace_invalid_utf8(queue.name)}};
    for (const auto& [key, number] : numbers) {
        if (queue.*number) {
            json[key] = *(queue.*number);
        }
    }
    return json.dump() + '\n';
}

void QueueStatisticsReader::add(std::string_view piece) {
    for (;;) {
        const auto end = piece.find('\n');
        if (begun_.size() + std::min(end, piece.size()) > longest_line) {
            refuse("is too long");
        }
        if (end == std::string_view::npos) {
            begun_ += piece;
            return;
        }
        begun_ += piece.substr(0, end);
        take_line(begun_);
        begun_.clear();
        piece.remove_prefix(end + 1);
    }
}

void QueueStatisticsReader::finish() const {
    if (!begun_.empty()) {
        refuse("has no end");
    }
}

void QueueStatisticsReader::take_line(std::string_view line) {
    const auto json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
        refuse("is not a JSON object");
    }
    const auto text = [&](const char* key) -> const std::string& {
        const auto found = json.find(key);
        if (found == json.end() || !found->is_string()) {
            refuse(std::string("has no \"") + key + '"');
        }
        return found->get_ref<const std::string&>();
    };
    QueueStatistics queue;
    queue.vhost = text("vhost");
    queue.name = text("name");
    for (const auto& [key, number] : numbers) {
        const auto found = json.find(key);
        if (found == json.end()) {
            continue;
        }
        if (!found->is_number_unsigned() || found->get<std::uint64_t>() > INT64_MAX) {
            refuse(std::string("has a \"") + key + "\" that is not from 0 to 2^63 - 1");
        }
        queue.*number = found->get<std::uint64_t>();
    }
    ++lines_;
    consume_(std::move(queue));
}

void QueueStatisticsReader::refuse(const std::string& reason) const {
    throw Error(ErrorCode::damaged,
                "line " + std::to_string(lines_ + 1) + " of the statistics of the queues " + reason,
                "Verify the backup; if its digests are right, report this as a defect.");
}

}  // namespace hot_backup

#include "sidecar/definitions/standing_counter.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace hot_backup {

void StandingCounter::add(const Item& item) {
    if (item.kind != Item::Kind::record && item.kind != Item::Kind::deletion) {
        return;
    }
    if (item.table != table_) {
        begin_table(item.table);
    }
    auto& count = counts_.categories[static_cast<std::size_t>(item.category)];
    if (item.kind == Item::Kind::deletion) {
        count -= take_back(item);
        return;
    }
    count += count_records(item);
    if (item.identity.empty()) {
        return;  // of Khepri, which deletes nothing
    }
    if (!corrected_.empty()) {
        const auto corrected = corrected_.find(std::string(item.identity));
        if (corrected != corrected_.end()) {
            ++corrected->second;
            return;
        }
    }
    keys_.push_back(std::hash<std::string_view>{}(item.identity));
    sorted_ = false;
}

void StandingCounter::begin_table(std::string_view table) {
    table_ = table;
    keys_.clear();
    corrected_.clear();
}

std::uint64_t StandingCounter::take_back(const Item& item) {
    const auto [corrected, first_time] = corrected_.try_emplace(std::string(item.identity), 0);
    if (!first_time) {
        return std::exchange(corrected->second, 0);
    }
    if (!sorted_) {
        std::sort(keys_.begin(), keys_.end());
        sorted_ = true;
    }
    const auto same =
        std::equal_range(keys_.begin(), keys_.end(), std::hash<std::string_view>{}(item.identity));
    return static_cast<std::uint64_t>(std::distance(same.first, same.second));
}

}  // namespace hot_backup

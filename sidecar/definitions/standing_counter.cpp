#include "sidecar/definitions/standing_counter.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

namespace hot_backup {
namespace {

// Without queues and exchanges that end with their connection or their node: Khepri keeps them
// beside the others.
std::uint64_t count_lasting(const Item& item) {
    if (item.category != Category::queues && item.category != Category::exchanges) {
        return count_records(item);
    }
    bool lasting = true;
    for_each_record(item, [&](const erlang::Term& record) {
        try {
            lasting = item.category == Category::queues ? queue_of(record).is_lasting()
                                                        : exchange_of(record).durable;
        } catch (const Error&) {
            // A shape that is not known here: counted, since it is there.
        }
    });
    return lasting ? 1 : 0;
}

}  // namespace

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
    const auto lasting = count_lasting(item);
    count += lasting;
    if (lasting == 0 || item.identity.empty()) {
        return;  // Khepri deletes nothing
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

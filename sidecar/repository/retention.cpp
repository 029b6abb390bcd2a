#include "sidecar/repository/retention.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace hot_backup {
namespace {

// Tells one period from another.
using Period = std::pair<std::int64_t, std::int64_t>;

using LocalTime = std::chrono::local_time<std::chrono::microseconds>;

std::chrono::year_month_day date_of(LocalTime time) {
    return std::chrono::year_month_day{std::chrono::floor<std::chrono::days>(time)};
}

std::chrono::local_days monday_of(LocalTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    return day - (std::chrono::weekday{day} - std::chrono::Monday);
}

Period period_of(RetentionReason rule, Timestamp time, std::chrono::seconds offset) {
    const LocalTime local{time.time_since_epoch() + offset};
    const auto date = date_of(local);
    switch (rule) {
        case RetentionReason::hourly:
            // When clocks are put back, an hour comes twice.
            return {std::chrono::floor<std::chrono::hours>(local).time_since_epoch().count(),
                    offset.count()};
        case RetentionReason::daily:
            return {std::chrono::local_days{date}.time_since_epoch().count(), 0};
        case RetentionReason::weekly:
            return {monday_of(local).time_since_epoch().count(), 0};
        case RetentionReason::monthly:
            return {int{date.year()}, unsigned{date.month()}};
        default:
            return {int{date.year()}, 0};
    }
}

// The backups of one node, the newest first, and what is decided about them.
class Group {
public:
    void add(const RetentionBackup& backup, RetentionReasons& reasons) {
        members_.push_back({&backup, &reasons});
    }

    void decide(const RetentionRules& rules, const UtcOffset& offset) {
        std::sort(members_.begin(), members_.end(),
                  [](const Member& a, const Member& b) { return a.backup->id > b.backup->id; });
        keep_last(rules.last);
        const std::array<std::pair<RetentionReason, unsigned>, 5> periodic{
            {{RetentionReason::hourly, rules.hourly},
             {RetentionReason::daily, rules.daily},
             {RetentionReason::weekly, rules.weekly},
             {RetentionReason::monthly, rules.monthly},
             {RetentionReason::yearly, rules.yearly}}};
        for (const auto& [rule, count] : periodic) {
            keep_one_of_each_period(rule, count, offset);
        }
        keep_protected();
        keep_newest_good();
        keep_damaged_unless_better_is_kept();
    }

private:
    struct Member {
        const RetentionBackup* backup;
        RetentionReasons* reasons;

        bool damaged() const { return backup->intact == false; }
        bool intact() const { return backup->intact == true; }
    };

    void keep_last(unsigned count) {
        for (const Member& member : members_) {
            if (count > 0 && !member.damaged()) {
                member.reasons->push_back(RetentionReason::last);
                --count;
            }
        }
    }

    void keep_one_of_each_period(RetentionReason rule, unsigned count, const UtcOffset& offset) {
        // A set, because the clock may have gone back: IDs are in order all the same.
        std::set<Period> seen;
        for (const Member& member : members_) {
            if (seen.size() == count) {
                return;
            }
            if (member.damaged()) {
                continue;
            }
            const Timestamp instant = member.backup->instant;
            if (seen.insert(period_of(rule, instant, offset(instant))).second) {
                member.reasons->push_back(rule);
            }
        }
    }

    void keep_protected() {
        for (const Member& member : members_) {
            if (member.backup->is_protected) {
                member.reasons->push_back(RetentionReason::is_protected);
            }
        }
    }

    // Of those known to be intact; else of those that nobody found to be damaged; else of all.
    void keep_newest_good() {
        const auto newest = [&](auto&& is_good) {
            return std::find_if(members_.begin(), members_.end(), is_good);
        };
        auto found = newest([](const Member& member) { return member.intact(); });
        auto reason = RetentionReason::newest_intact;
        if (found == members_.end()) {
            found = newest([](const Member& member) { return !member.damaged(); });
            reason = RetentionReason::newest_readable;
        }
        if (found == members_.end()) {
            found = members_.begin();
        }
        found->reasons->push_back(reason);
    }

    // Better is a newer one that is intact: most of a recent backup can be had from it although it
    // is damaged, and none of it from one that is older.
    void keep_damaged_unless_better_is_kept() {
        bool better = false;
        for (const Member& member : members_) {
            if (!better && member.damaged() && member.reasons->empty()) {
                member.reasons->push_back(RetentionReason::no_intact_is_kept);
            }
            better = better || (member.intact() && !member.reasons->empty());
        }
    }

    std::vector<Member> members_;
};

}  // namespace

std::string_view name_of(RetentionReason reason) {
    switch (reason) {
        case RetentionReason::last:
            return "last";
        case RetentionReason::hourly:
            return "hourly";
        case RetentionReason::daily:
            return "daily";
        case RetentionReason::weekly:
            return "weekly";
        case RetentionReason::monthly:
            return "monthly";
        case RetentionReason::yearly:
            return "yearly";
        case RetentionReason::is_protected:
            return "protected";
        case RetentionReason::newest_intact:
            return "newest_intact";
        case RetentionReason::newest_readable:
            return "newest_readable";
        case RetentionReason::unreadable:
            return "unreadable";
        case RetentionReason::no_intact_is_kept:
            return "no_intact_is_kept";
    }
    return "";
}

std::vector<RetentionReasons> apply_retention(const std::vector<RetentionBackup>& backups,
                                              const RetentionRules& rules,
                                              const UtcOffset& offset) {
    std::vector<RetentionReasons> reasons(backups.size());
    std::map<std::string_view, Group> nodes;
    for (std::size_t i = 0; i < backups.size(); ++i) {
        if (backups[i].readable) {
            nodes[backups[i].node].add(backups[i], reasons[i]);
        } else {
            reasons[i].push_back(RetentionReason::unreadable);
        }
    }
    for (auto& [node, group] : nodes) {
        group.decide(rules, offset);
    }
    return reasons;
}

}  // namespace hot_backup

#include "tests/exactness/verdict.hpp"

#include <unordered_set>

namespace exactness {

namespace {

using Ids = std::unordered_set<std::uint64_t>;

constexpr std::size_t most_examples = 20;

bool confirmed_before(const Record& record, const Standstill& standstill) {
    return record.confirmed && *record.confirmed < standstill.begin;
}

bool may_be_acknowledged(const Record& record, const Standstill& standstill) {
    return record.acknowledged && *record.acknowledged <= standstill.end;
}

class Judgement {
public:
    Judgement(const std::map<QueueName, Records>& ledger, const Standstill& standstill)
        : ledger_(ledger), standstill_(standstill) {}

    // What a queue holds has to be what was put there, and nothing else.
    void look_at(const QueueName& queue,
                 const std::vector<std::optional<std::uint64_t>>& messages) {
        Ids& ids = found_[queue];
        for (const auto& id : messages) {
            ++verdict_.checks;
            if (!id) {
                report(Fault::damaged, queue, 0);
            } else if (!ids.insert(*id).second) {
                report(Fault::duplicate, queue, *id);
            } else if (const Record* record = record_of(queue, *id); record == nullptr) {
                report(Fault::unknown, queue, *id);
            } else if (record->sent > standstill_.end) {
                report(Fault::future, queue, *id);
            } else if (record->acknowledged &&
                       *record->acknowledged < standstill_.begin - long_before) {
                report(Fault::back, queue, *id);
            } else if (!record->survives_restart) {
                report(Fault::transient, queue, *id);
            }
        }
    }

    // What had to be there is there.
    void look_for_lost() {
        for (const auto& [queue, records] : ledger_) {
            for (const auto& [id, record] : records) {
                if (record.survives_restart && confirmed_before(record, standstill_) &&
                    !may_be_acknowledged(record, standstill_)) {
                    ++verdict_.checks;
                    if (!has(queue, id)) {
                        report(Fault::lost, queue, id);
                    }
                }
            }
        }
    }

    void look_along(const Pipeline& pipeline) {
        const auto entry = ledger_.find(pipeline.from);
        if (entry == ledger_.end()) {
            return;
        }
        for (const auto& [id, record] : entry->second) {
            if (!record.survives_restart || !confirmed_before(record, standstill_)) {
                continue;
            }
            const Record* moved = record_of(pipeline.to, id);
            if (moved != nullptr && may_be_acknowledged(*moved, standstill_)) {
                continue;
            }
            ++verdict_.checks;
            if (!has(pipeline.from, id) && !has(pipeline.to, id)) {
                report(Fault::neither, pipeline.from, id);
            }
        }
    }

    Verdict verdict() const { return verdict_; }

private:
    bool has(const QueueName& queue, std::uint64_t id) const {
        const auto ids = found_.find(queue);
        return ids != found_.end() && ids->second.contains(id);
    }

    const Record* record_of(const QueueName& queue, std::uint64_t id) const {
        const auto records = ledger_.find(queue);
        if (records == ledger_.end()) {
            return nullptr;
        }
        const auto record = records->second.find(id);
        return record == records->second.end() ? nullptr : &record->second;
    }

    void report(Fault fault, const QueueName& queue, std::uint64_t id) {
        ++verdict_.faults[fault];
        if (verdict_.examples.size() < most_examples) {
            verdict_.examples.push_back(std::string(to_string(fault)) + ": message " +
                                        std::to_string(id) + " of " + to_string(queue) +
                                        history(record_of(queue, id)));
        }
    }

    // In microseconds from the beginning of the standstill.
    std::string history(const Record* record) const {
        if (record == nullptr) {
            return {};
        }
        const auto relative = [&](Time time) {
            return std::to_string((time - standstill_.begin).count());
        };
        std::string text = " (sent " + relative(record->sent);
        text += record->confirmed ? ", confirmed " + relative(*record->confirmed) : "";
        text += record->acknowledged ? ", acknowledged " + relative(*record->acknowledged) : "";
        return text + " us)";
    }

    const std::map<QueueName, Records>& ledger_;
    const Standstill standstill_;
    std::map<QueueName, Ids> found_;
    Verdict verdict_;
};

}  // namespace

const char* to_string(Fault fault) {
    switch (fault) {
        case Fault::lost:
            return "lost";
        case Fault::neither:
            return "in neither queue";
        case Fault::future:
            return "from the future";
        case Fault::back:
            return "back";
        case Fault::duplicate:
            return "duplicate";
        case Fault::unknown:
            return "unknown";
        case Fault::damaged:
            return "damaged";
        case Fault::transient:
            return "transient";
    }
    return "";
}

std::uint64_t Verdict::count(Fault fault) const {
    const auto found = faults.find(fault);
    return found == faults.end() ? 0 : found->second;
}

Verdict judge(const std::map<QueueName, Records>& ledger, const std::vector<Pipeline>& pipelines,
              const Messages& messages, const Standstill& standstill) {
    Judgement judgement(ledger, standstill);
    for (const auto& [queue, found] : messages) {
        judgement.look_at(queue, found);
    }
    judgement.look_for_lost();
    for (const Pipeline& pipeline : pipelines) {
        judgement.look_along(pipeline);
    }
    return judgement.verdict();
}

}  // namespace exactness

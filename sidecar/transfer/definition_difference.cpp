#include "sidecar/transfer/definition_difference.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/transfer/policies.hpp"

#include <algorithm>
#include <set>

namespace hot_backup {
namespace {

using State = DefinitionFinding::State;

// The arguments, without the one that says the type over again.
Json comparable_arguments(const Json& definition) {
    auto arguments = definition.value("arguments", Json::object());
    arguments.erase("x-queue-type");
    return arguments;
}

// What differs between two definitions of the same queue or exchange; empty when nothing.
std::string difference(const Json& backup, const Json& target) {
    std::string text;
    const auto compare = [&](const std::string& key, const Json& ours, const Json& theirs) {
        if (ours != theirs) {
            text += (text.empty() ? "" : "; ") + key + " is " + to_line(theirs) +
                    ", in the backup " + to_line(ours);
        }
    };
    for (const auto* key : {"type", "durable", "auto_delete"}) {
        compare(key, backup.value(key, Json()), target.value(key, Json()));
    }
    compare("arguments", comparable_arguments(backup), comparable_arguments(target));
    return text;
}

class Comparison {
public:
    Comparison(const DefinitionSet& backup, const DefinitionSet& target,
               const DefinitionRules& rules)
        : backup_(backup), target_(target), rules_(rules) {
        for (const auto& binding : backup.bindings) {
            bindings_to_[destination_of(binding)].push_back(&binding);
        }
        for (const auto& binding : target.bindings) {
            known_bindings_.insert(to_line(binding));
        }
    }

    DefinitionDifference compare(const std::vector<QueueMove>& queues) {
        check_types(queues);
        for (const auto& move : queues) {
            vhost(move.to.vhost);
            const auto& definition = backup_.queues.at(move.from);
            queue(move, definition);
            collect_policies(definition);
            add_exchange(move.from.vhost,
                         text_of(comparable_arguments(definition), "x-dead-letter-exchange"));
            if (move.from == move.to) {
                collect_bindings({"queue", move.from});
            }
        }
        follow_exchanges();
        policies();
        exchanges();
        bindings();
        for (auto& [section, definitions] : missing_) {
            result_.missing[section] = std::move(definitions);
        }
        return std::move(result_);
    }

private:
    // The name of an exchange or a policy, with its vhost.
    using Name = QueueName;
    // "queue" or "exchange", and its name.
    using Destination = std::pair<std::string, Name>;

    static Destination destination_of(const Json& binding) {
        return {text_of(binding, "destination_type"),
                {text_of(binding, "vhost"), text_of(binding, "destination")}};
    }

    void check_types(const std::vector<QueueMove>& queues) const {
        std::string wrong;
        for (const auto& move : queues) {
            const auto found = target_.queues.find(move.to);
            if (found == target_.queues.end()) {
                continue;
            }
            const auto& queue = backup_.queues.at(move.from);
            const auto ours = text_of(queue, "type");
            const auto theirs = text_of(found->second, "type");
            if (ours != theirs && !(theirs == "quorum" && is_mirrored(backup_, queue))) {
                wrong += (wrong.empty() ? "" : "; ") + describe(move.to) + " is a " + theirs +
                         " queue, in the backup it is a " + ours + " queue";
            }
        }
        if (!wrong.empty()) {
            throw Error(ErrorCode::usage, wrong,
                        "Nothing was changed. Leave these queues out, or restore one under another "
                        "name with --as.");
        }
    }

    void find(State state, const std::string& kind, const std::string& vhost,
              const std::string& name, const std::string& detail = {}) {
        result_.findings.push_back({state, kind, vhost, name, detail});
    }

    void declare(const std::string& section, const std::string& kind, const std::string& vhost,
                 const std::string& name, Json definition, const std::string& detail = {}) {
        find(State::missing, kind, vhost, name, detail);
        missing_[section].push_back(std::move(definition));
    }

    void vhost(const std::string& name) {
        if (!vhosts_.insert(name).second) {
            return;
        }
        if (target_.vhosts.contains(name)) {
            find(State::same, "vhost", name, name);
        } else {
            declare("vhosts", "vhost", name, name, backup_.vhosts.at(name));
        }
    }

    void queue(const QueueMove& move, Json definition) {
        const auto refused = take_keys(definition["arguments"], [&](const std::string& key) {
            return rules_.refused_arguments.contains(key);
        });
        const auto found = target_.queues.find(move.to);
        if (found != target_.queues.end()) {
            const auto what = difference(definition, found->second);
            find(what.empty() ? State::same : State::differs, "queue", move.to.vhost, move.to.name,
                 what);
            return;
        }
        definition["name"] = move.to.name;
        // Not every release looks at `type`.
        if (definition.at("type") != "classic") {
            definition["arguments"]["x-queue-type"] = definition.at("type");
        }
        declare("queues", "queue", move.to.vhost, move.to.name, std::move(definition),
                without(refused, "refuses"));
    }

    // Takes items out of an object. Returns their names.
    template <class Condition>
    static std::string take_keys(Json& object, const Condition& condition) {
        std::string names;
        for (auto item = object.begin(); item != object.end();) {
            if (condition(item.key())) {
                names += (names.empty() ? "" : ", ") + item.key();
                item = object.erase(item);
            } else {
                ++item;
            }
        }
        return names;
    }

    // Empty when there are none.
    std::string without(const std::string& names, const std::string& why) const {
        return names.empty() ? "" : "without " + names + ", which " + rules_.rabbitmq + " " + why;
    }

    void collect_policies(const Json& queue) {
        for (const auto& [name, policy] : backup_.policies) {
            if (name.vhost == queue.at("vhost") && applies_to_queue(policy, queue)) {
                policies_.insert(name);
                add_exchange(name.vhost, text_of(policy.value("definition", Json::object()),
                                                 "dead-letter-exchange"));
            }
        }
    }

    // What leads to a queue or an exchange, directly or through others.
    void collect_bindings(const Destination& destination) {
        const auto found = bindings_to_.find(destination);
        if (found == bindings_to_.end()) {
            return;
        }
        for (const auto* binding : found->second) {
            bindings_.push_back(binding);
            const Name source{destination.second.vhost, text_of(*binding, "source")};
            if (add_exchange(source.vhost, source.name)) {
                collect_bindings({"exchange", source});
            }
        }
    }

    // Whether it was not known yet.
    bool add_exchange(const std::string& vhost, const std::string& name) {
        return !name.empty() && exchanges_.insert({vhost, name}).second;
    }

    // Alternate exchanges, and theirs.
    void follow_exchanges() {
        std::vector<Name> todo(exchanges_.begin(), exchanges_.end());
        while (!todo.empty()) {
            const auto name = todo.back();
            todo.pop_back();
            const auto found = backup_.exchanges.find(name);
            if (found == backup_.exchanges.end()) {
                continue;
            }
            const auto next =
                text_of(found->second.value("arguments", Json::object()), "alternate-exchange");
            if (add_exchange(name.vhost, next)) {
                todo.push_back({name.vhost, next});
            }
        }
    }

    void policies() {
        for (const auto& name : policies_) {
            auto policy = backup_.policies.at(name);
            const auto unknown = take_keys(policy["definition"], [&](const std::string& key) {
                return !rules_.policy_keys.contains(key);
            });
            const auto found = target_.policies.find(name);
            if (found != target_.policies.end()) {
                const bool same = found->second == policy;
                find(same ? State::same : State::differs, "policy", name.vhost, name.name,
                     same ? "" : "it is " + to_line(found->second));
            } else if (!unknown.empty() && policy["definition"].empty()) {
                find(State::withheld, "policy", name.vhost, name.name,
                     rules_.rabbitmq + " does not know " + unknown +
                         (has_weaker(name) ? "; policies of lower priority may apply in its place"
                                           : ""));
            } else if (const auto other = existing_match(policy); !other.empty()) {
                find(State::withheld, "policy", name.vhost, name.name,
                     "it would change " + other + ", which exists");
            } else {
                declare("policies", "policy", name.vhost, name.name, std::move(policy),
                        without(unknown, "does not know"));
            }
        }
    }

    // Only one policy applies to a queue: one that is not there any more uncovers another.
    bool has_weaker(const Name& name) const {
        const auto& policy = backup_.policies.at(name);
        return std::ranges::any_of(policies_, [&](const Name& other) {
            const auto& weaker = backup_.policies.at(other);
            return other != name && weaker.value("priority", 0) <= policy.value("priority", 0) &&
                   std::ranges::any_of(backup_.queues, [&](const auto& queue) {
                       return queue.first.vhost == name.vhost && other.vhost == name.vhost &&
                              applies_to_queue(policy, queue.second) &&
                              applies_to_queue(weaker, queue.second);
                   });
        });
    }

    // What of the target a policy would apply to; empty when nothing.
    std::string existing_match(const Json& policy) const {
        const auto vhost = text_of(policy, "vhost");
        for (const auto& [name, queue] : target_.queues) {
            if (name.vhost == vhost && applies_to_queue(policy, queue)) {
                return "queue " + name.name;
            }
        }
        for (const auto& [name, exchange] : target_.exchanges) {
            if (name.vhost == vhost && applies_to_exchange(policy, name.name)) {
                return "exchange " + name.name;
            }
        }
        return {};
    }

    // Every vhost has those of amq.*. Internal ones are in no definitions.
    bool can_exist(const Name& exchange) const {
        return exchange.name.starts_with("amq.") || backup_.exchanges.contains(exchange);
    }

    bool exists(const Name& exchange) const {
        return exchange.name.starts_with("amq.") || target_.exchanges.contains(exchange);
    }

    void exchanges() {
        for (const auto& name : exchanges_) {
            const auto ours = backup_.exchanges.find(name);
            const auto theirs = target_.exchanges.find(name);
            if (ours == backup_.exchanges.end()) {
                if (!can_exist(name)) {
                    find(State::withheld, "exchange", name.vhost, name.name,
                         "the backup's definitions do not have it");
                }
            } else if (theirs == target_.exchanges.end()) {
                declare("exchanges", "exchange", name.vhost, name.name, ours->second);
            } else {
                const auto what = difference(ours->second, theirs->second);
                find(what.empty() ? State::same : State::differs, "exchange", name.vhost, name.name,
                     what);
            }
        }
    }

    void bindings() {
        for (const auto* binding : bindings_) {
            const auto [type, destination] = destination_of(*binding);
            const auto source = text_of(*binding, "source");
            const auto title = source + " -> " + type + " " + destination.name + " (" +
                               text_of(*binding, "routing_key") + ")";
            if (known_bindings_.contains(to_line(*binding))) {
                find(State::same, "binding", destination.vhost, title);
            } else if (!can_exist({destination.vhost, source}) ||
                       (type == "exchange" && !can_exist(destination))) {
                find(State::withheld, "binding", destination.vhost, title,
                     "the backup's definitions do not have its exchange");
            } else if (type == "exchange" && exists(destination)) {
                // Live messages would come to whatever else is behind that exchange.
                find(State::withheld, "binding", destination.vhost, title,
                     "it would bring messages to exchange " + destination.name + ", which exists");
            } else {
                declare("bindings", "binding", destination.vhost, title, *binding);
            }
        }
    }

    const DefinitionSet& backup_;
    const DefinitionSet& target_;
    const DefinitionRules& rules_;
    std::map<Destination, std::vector<const Json*>> bindings_to_;
    std::set<std::string> known_bindings_;
    std::set<std::string> vhosts_;
    std::set<Name> policies_;
    std::set<Name> exchanges_;
    std::vector<const Json*> bindings_;
    std::map<std::string, std::vector<Json>> missing_;
    DefinitionDifference result_;
};

}  // namespace

DefinitionDifference compare_definitions(const DefinitionSet& backup, const DefinitionSet& target,
                                         const std::vector<QueueMove>& queues,
                                         const DefinitionRules& rules) {
    return Comparison(backup, target, rules).compare(queues);
}

}  // namespace hot_backup

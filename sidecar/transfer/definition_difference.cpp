#include "sidecar/transfer/definition_difference.hpp"

#include "erlang_port/error.hpp"

#include <algorithm>
#include <regex>
#include <set>
#include <string_view>

namespace hot_backup {
namespace {

using State = DefinitionFinding::State;

std::string text_of(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// RabbitMQ's patterns are Perl's. One that this reader does not understand counts as matching: then
// the policy is rather withheld than applied where nobody expects it.
bool matches(const Json& policy, const std::string& name) {
    try {
        return std::regex_search(name, std::regex(text_of(policy, "pattern")));
    } catch (const std::regex_error&) {
        return true;
    }
}

bool applies_to_queue(const Json& policy, const Json& queue) {
    const auto to = text_of(policy, "apply-to");
    const auto type = text_of(queue, "type");
    const bool kind = to == "all" || to == "queues" || to == type + "_queues" || to == type + "s";
    return kind && matches(policy, text_of(queue, "name"));
}

// Policies for everything rarely say anything that an exchange looks at.
bool applies_to_exchange(const Json& policy, const std::string& exchange) {
    const auto to = text_of(policy, "apply-to");
    if (to != "all" && to != "exchanges") {
        return false;
    }
    const auto definition = policy.value("definition", Json::object());
    const bool concerned =
        std::any_of(definition.items().begin(), definition.items().end(), [](const auto& item) {
            return item.key() == "alternate-exchange" || item.key().starts_with("federation");
        });
    return concerned && matches(policy, exchange);
}

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
    Comparison(const DefinitionSet& backup, const DefinitionSet& target)
        : backup_(backup), target_(target) {
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
            const auto ours = text_of(backup_.queues.at(move.from), "type");
            const auto theirs = text_of(found->second, "type");
            if (ours != theirs) {
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
                 const std::string& name, Json definition) {
        find(State::missing, kind, vhost, name);
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
        declare("queues", "queue", move.to.vhost, move.to.name, std::move(definition));
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
            const auto& policy = backup_.policies.at(name);
            const auto found = target_.policies.find(name);
            if (found != target_.policies.end()) {
                const bool same = found->second == policy;
                find(same ? State::same : State::differs, "policy", name.vhost, name.name,
                     same ? "" : "it is " + to_line(found->second));
            } else if (const auto other = existing_match(policy); !other.empty()) {
                find(State::withheld, "policy", name.vhost, name.name,
                     "it would change " + other + ", which exists");
            } else {
                declare("policies", "policy", name.vhost, name.name, policy);
            }
        }
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
                                         const std::vector<QueueMove>& queues) {
    return Comparison(backup, target).compare(queues);
}

}  // namespace hot_backup

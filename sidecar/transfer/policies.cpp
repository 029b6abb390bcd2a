#include "sidecar/transfer/policies.hpp"

#include <algorithm>
#include <regex>

namespace hot_backup {
namespace {

// RabbitMQ's patterns are Perl's. One that this reader does not understand counts as matching: then
// the policy is rather withheld than applied where nobody expects it.
bool matches(const Json& policy, const std::string& name) {
    try {
        return std::regex_search(name, std::regex(text_of(policy, "pattern")));
    } catch (const std::regex_error&) {
        return true;
    }
}

}  // namespace

std::string text_of(const Json& definition, const char* key) {
    const auto found = definition.find(key);
    return found != definition.end() && found->is_string() ? found->get<std::string>()
                                                           : std::string();
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

Json policy_of(const DefinitionSet& definitions, const Json& queue) {
    const Json* strongest = nullptr;
    for (const auto& [name, policy] : definitions.policies) {
        if (name.vhost == queue.at("vhost") && applies_to_queue(policy, queue) &&
            (strongest == nullptr ||
             policy.value("priority", 0) > strongest->value("priority", 0))) {
            strongest = &policy;
        }
    }
    return strongest == nullptr ? Json::object() : strongest->value("definition", Json::object());
}

bool is_mirrored(const DefinitionSet& definitions, const Json& queue) {
    return text_of(queue, "type") == "classic" && policy_of(definitions, queue).contains("ha-mode");
}

}  // namespace hot_backup

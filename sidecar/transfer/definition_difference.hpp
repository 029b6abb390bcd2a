// What a live broker lacks so that chosen queues of a backup can live in it.
//
// What is missing is to be declared; what exists is left alone, also where it differs. To a queue
// belong: its vhost; the exchanges that it is bound to, directly or through others, with these
// bindings; the exchanges that its arguments or policies send dead letters to, and alternate
// exchanges of all these (their definitions only); the policies that apply to it. A policy that
// would also change a queue or exchange that exists already is withheld.
#pragma once

#include "sidecar/json.hpp"
#include "sidecar/transfer/definition_set.hpp"

#include <set>
#include <string>
#include <vector>

namespace hot_backup {

struct DefinitionFinding {
    enum class State { missing, same, differs, withheld };
    State state = State::missing;
    std::string kind;  // "vhost", "policy", "exchange", "queue", "binding"
    std::string vhost;
    std::string name;
    std::string detail;  // of what differs or is withheld, and of what is declared in part only

    bool operator==(const DefinitionFinding&) const = default;
};

struct DefinitionDifference {
    std::vector<DefinitionFinding> findings;
    // What is missing, for RabbitMQ's import. Empty sections are left out.
    OrderedJson missing = OrderedJson::object();
};

// What the broker's RabbitMQ takes. It refuses a policy that says anything else, and a queue with
// such an argument: both are declared without that, a policy of which nothing is left is withheld.
struct DefinitionRules {
    std::string rabbitmq;  // its name, for messages
    std::set<std::string> policy_keys;
    std::set<std::string> refused_arguments;
};

// A queue of the backup, and what it is called in the broker. One with another name is declared
// without bindings: a copy beside the original, which gets nothing but what is restored.
struct QueueMove {
    QueueName from;
    QueueName to;
};

// Error usage: a queue exists with another type than in the backup; it names all of these. One that
// was mirrored may have become a quorum queue.
DefinitionDifference compare_definitions(const DefinitionSet& backup, const DefinitionSet& target,
                                         const std::vector<QueueMove>& queues,
                                         const DefinitionRules& rules);

}  // namespace hot_backup

#include "sidecar/transfer/live_definitions.hpp"

#include "sidecar/engine/broker_snapshot.hpp"
#include "sidecar/engine/fields.hpp"

#include <chrono>

namespace hot_backup {
namespace {

using namespace std::chrono_literals;

// A request to the plugin is at most 1 MiB long (docs/protocol.md).
constexpr std::size_t portion = 512 * 1024;
// Queues take RabbitMQ milliseconds each.
constexpr auto import_time = 10min;
constexpr auto answer_time = 30s;

// Collects definitions until a portion is full.
class Import {
public:
    explicit Import(Broker& broker) : broker_(broker) {}

    void add(const std::string& section, const OrderedJson& definition) {
        size_ += to_line(definition).size();
        document_[section].push_back(definition);
        if (size_ >= portion) {
            flush();
        }
    }

    void flush() {
        if (document_.empty()) {
            return;
        }
        broker_.call("import_definitions", make_map({{"json", erlang::binary(to_line(document_))}}),
                     import_time);
        document_ = OrderedJson::object();
        size_ = 0;
    }

private:
    Broker& broker_;
    OrderedJson document_ = OrderedJson::object();
    std::size_t size_ = 0;
};

}  // namespace

DefinitionSet read_definitions(Broker& broker, const std::set<std::string>& vhosts) {
    BrokerSnapshot stored(broker);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));
    return read_definitions(snapshot, broker.identity().rabbitmq_version, vhosts);
}

DefinitionRules read_definition_rules(Broker& broker) {
    const auto result = broker.call("definition_rules", make_map({}), answer_time);
    const MapFields fields("answer to definition_rules", result);
    const auto names = [&](std::string_view key) {
        std::set<std::string> all;
        for (const auto& name : fields.list(key)) {
            if (const auto* text = name.as<erlang::Binary>()) {
                all.insert(text->bytes);
            }
        }
        return all;
    };
    return {"RabbitMQ " + broker.identity().rabbitmq_version, names("policy_keys"),
            names("refused_arguments")};
}

void import_definitions(Broker& broker, const OrderedJson& definitions) {
    Import import(broker);
    // What is needed by others comes first; a policy before the queues that it applies to.
    for (const std::string section :
         {"users", "vhosts", "permissions", "policies", "exchanges", "queues", "bindings"}) {
        if (const auto found = definitions.find(section); found != definitions.end()) {
            for (const auto& definition : *found) {
                import.add(section, definition);
            }
        }
        // Whether RabbitMQ has refused one is seen before anything is bound to it.
        if (section == "queues") {
            import.flush();
        }
    }
    import.flush();
}

}  // namespace hot_backup

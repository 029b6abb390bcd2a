#include "sidecar/definitions/definitions.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/definitions/amqp_table.hpp"
#include "sidecar/definitions/json_writer.hpp"
#include "sidecar/definitions/records.hpp"
#include "sidecar/definitions/text.hpp"
#include "sidecar/rabbitmq_version.hpp"

#include <array>
#include <ostream>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace hot_backup {
namespace {

using erlang::Term;

// Writes definitions, one at a time. The queues and exchanges come before the bindings, which are
// left out with them.
class DefinitionsWriter {
public:
    struct Section {
        Category category;
        void (DefinitionsWriter::*write_one)(const Term&);
    };
    // In the order of the document.
    static constexpr std::array<Section, 10> sections() {
        return {{{Category::users, &DefinitionsWriter::user},
                 {Category::vhosts, &DefinitionsWriter::vhost},
                 {Category::permissions, &DefinitionsWriter::permission},
                 {Category::topic_permissions, &DefinitionsWriter::topic_permission},
                 {Category::parameters, &DefinitionsWriter::parameter},
                 {Category::global_parameters, &DefinitionsWriter::global_parameter},
                 {Category::policies, &DefinitionsWriter::policy},
                 {Category::queues, &DefinitionsWriter::queue},
                 {Category::exchanges, &DefinitionsWriter::exchange},
                 {Category::bindings, &DefinitionsWriter::binding}}};
    }

    // RabbitMQ 3.8 imports nothing but a string of tags; later versions take both
    // (tag_list_from/1).
    DefinitionsWriter(Snapshot& snapshot, const DefinitionsHeader& header)
        : snapshot_(snapshot),
          json_(text_),
          tags_as_string_(header.rabbitmq_version.starts_with("3.8.")),
          with_log_exchange_(RabbitmqVersion::of(header.rabbitmq_version) >=
                             RabbitmqVersion{4, 2, 4}) {}

    // Calls `consume` with each definition of the section.
    void write(const Section& section, const std::function<void(std::string_view)>& consume) {
        snapshot_.for_each(section.category, [&](const Term& record) {
            text_.clear();
            (this->*section.write_one)(record);
            if (!text_.empty()) {
                consume(text_);
            }
        });
    }

    DefinitionsReport report() const { return {.replaced_strings = json_.replaced_strings()}; }

private:
    void user(const Term& record) {
        const auto user = user_of(record);
        json_.begin_object();
        member("name", user.name);
        member("password_hash", to_base64(user.password_hash));
        member("hashing_algorithm", user.hashing_algorithm);
        tags(user.tags);
        if (user.limits != nullptr) {
            json_.key("limits");
            json_.object(*user.limits);
        }
        json_.end_object();
    }

    void tags(const std::vector<std::string_view>& tags) {
        json_.key("tags");
        if (tags_as_string_) {
            std::string joined;
            for (const auto tag : tags) {
                joined.append(joined.empty() ? "" : ",").append(tag);
            }
            json_.string(joined);
            return;
        }
        json_.begin_array();
        for (const auto tag : tags) {
            json_.string(tag);
        }
        json_.end_array();
    }

    void vhost(const Term& record) {
        const auto vhost = vhost_of(record);
        json_.begin_object();
        member("name", vhost.name);
        for (const auto& [key, value] :
             {std::pair("limits", vhost.limits), std::pair("metadata", vhost.metadata)}) {
            json_.key(key);
            json_.object(value != nullptr ? *value : Term());
        }
        json_.end_object();
    }

    void permission(const Term& record) {
        const auto permission = permission_of(record);
        json_.begin_object();
        member("user", permission.user);
        member("vhost", permission.vhost);
        member("configure", permission.configure);
        member("write", permission.write);
        member("read", permission.read);
        json_.end_object();
    }

    void topic_permission(const Term& record) {
        const auto permission = topic_permission_of(record);
        json_.begin_object();
        member("user", permission.user);
        member("vhost", permission.vhost);
        member("exchange", permission.exchange);
        member("write", permission.write);
        member("read", permission.read);
        json_.end_object();
    }

    void parameter(const Term& record) {
        const auto parameter = parameter_of(record);
        // Marks of an exchange's deletion under way and of imported definitions
        // (rabbit_exchange.erl, rabbit_definitions_hashing.erl).
        if (parameter.component == "exchange-delete-in-progress" ||
            parameter.component == "imported_definition_hash_value") {
            return;
        }
        json_.begin_object();
        member("vhost", parameter.vhost);
        member("component", parameter.component);
        member("name", parameter.name);
        json_.key("value");
        json_.object(*parameter.value);
        json_.end_object();
    }

    void global_parameter(const Term& record) {
        const auto parameter = global_parameter_of(record);
        // rabbit_definitions:is_internal_parameter/1, rabbit_definitions_hashing.erl.
        if (parameter.name.starts_with("internal") ||
            parameter.name == "imported_definition_hash_value") {
            return;
        }
        json_.begin_object();
        member("name", parameter.name);
        json_.key("value");
        json_.term(*parameter.value);
        json_.end_object();
    }

    void policy(const Term& record) {
        const auto policy = policy_of(record);
        json_.begin_object();
        member("vhost", policy.vhost);
        member("name", policy.name);
        member("pattern", *policy.pattern);
        member("apply-to", *policy.apply_to);
        json_.key("definition");
        json_.object(*policy.definition);
        member("priority", *policy.priority);
        json_.end_object();
    }

    void queue(const Term& record) {
        const auto queue = queue_of(record);
        if (!queue.is_lasting()) {
            leave_out(queue.resource);
            return;
        }
        json_.begin_object();
        member("name", queue.resource.name);
        member("vhost", queue.resource.vhost);
        member("type", queue.type);
        member("durable", queue.durable);
        member("auto_delete", queue.auto_delete);
        arguments(*queue.arguments);
        json_.end_object();
    }

    void exchange(const Term& record) {
        const auto exchange = exchange_of(record);
        if (!exchange.durable) {
            leave_out(exchange.resource);
            return;
        }
        // rabbit_definitions:list_exchanges/0. Their bindings are exported all the same.
        const auto& name = exchange.resource.name;
        if ((exchange.internal || name.empty() || name.starts_with("amq.")) &&
            !(with_log_exchange_ && name == "amq.rabbitmq.log")) {
            return;
        }
        json_.begin_object();
        member("name", exchange.resource.name);
        member("vhost", exchange.resource.vhost);
        member("type", exchange.type);
        member("durable", exchange.durable);
        member("auto_delete", exchange.auto_delete);
        arguments(*exchange.arguments);
        json_.end_object();
    }

    void binding(const Term& record) {
        const auto binding = binding_of(record);
        // Every queue is bound to the default exchange; databases older than 3.8 store that
        // (rabbit_binding:list_explicit/0).
        if (binding.source.name.empty() || is_left_out(binding.source) ||
            is_left_out(binding.destination)) {
            return;
        }
        json_.begin_object();
        member("source", binding.source.name);
        member("vhost", binding.source.vhost);
        member("destination", binding.destination.name);
        member("destination_type", binding.destination.kind);
        member("routing_key", binding.routing_key);
        arguments(*binding.arguments);
        json_.end_object();
    }

    void arguments(const Term& arguments) {
        json_.key("arguments");
        write_amqp_table(json_, arguments);
    }

    void member(std::string_view key, std::string_view value) {
        json_.key(key);
        json_.string(value);
    }
    void member(std::string_view key, bool value) {
        json_.key(key);
        json_.boolean(value);
    }
    void member(std::string_view key, const Term& value) {
        json_.key(key);
        json_.term(value);
    }

    // Names hold any byte, so only the length tells where one ends.
    static std::string identity_of(const Resource& resource) {
        return std::string(resource.kind) + std::to_string(resource.vhost.size()) + ':' +
               std::string(resource.vhost) + std::string(resource.name);
    }

    void leave_out(const Resource& resource) { left_out_.insert(identity_of(resource)); }

    bool is_left_out(const Resource& resource) const {
        return !left_out_.empty() && left_out_.contains(identity_of(resource));
    }

    Snapshot& snapshot_;
    std::string text_;  // of the definition at hand; empty when it is left out
    JsonWriter json_;
    const bool tags_as_string_;
    const bool with_log_exchange_;
    std::unordered_set<std::string> left_out_;
};

}  // namespace

DefinitionsReport write_definitions(Snapshot& snapshot, const DefinitionsHeader& header,
                                    std::ostream& out) {
    std::string version;
    JsonWriter(version).string(header.rabbitmq_version);
    out << R"({"rabbit_version":)" << version << R"(,"rabbitmq_version":)" << version;
    DefinitionsWriter writer(snapshot, header);
    for (const auto& section : DefinitionsWriter::sections()) {
        out << ",\"" << name_of(section.category) << "\":[";
        const char* before = "\n";
        const char* after = "";
        writer.write(section, [&](std::string_view definition) {
            out << before << definition;
            before = ",\n";
            after = "\n";
        });
        out << after << ']';
    }
    if (!(out << '}').flush()) {
        throw Error(ErrorCode::failed, "the output does not take any more of the definitions",
                    "Check the space left where the output goes, and that its reader still runs.");
    }
    return writer.report();
}

void for_each_definition(
    Snapshot& snapshot, const DefinitionsHeader& header,
    const std::function<void(std::string_view section, std::string_view definition)>& consume) {
    DefinitionsWriter writer(snapshot, header);
    for (const auto& section : DefinitionsWriter::sections()) {
        writer.write(section, [&](std::string_view definition) {
            consume(name_of(section.category), definition);
        });
    }
}

}  // namespace hot_backup

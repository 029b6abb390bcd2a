// The shapes of RabbitMQ's metadata records, for every version this program knows: 3.8 to 4.3.
//
// This is the one place that knows them; each function names the RabbitMQ source it follows. The
// results point into the term that they were made from. A record whose shape is not known is an
// Error (failed) that shows it: skipping it would lose a definition in silence.
#pragma once

#include "erlang_port/term.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hot_backup {

// What a record is about. The order is that of the definitions document.
enum class Category : std::uint8_t {
    users,
    vhosts,
    permissions,
    topic_permissions,
    parameters,
    global_parameters,
    policies,
    queues,
    exchanges,
    bindings,
    other,  // a record that definitions have no place for: other plugins' tables, bookkeeping
};
constexpr std::size_t category_count = 11;

// The key of the category in the definitions document; "other" for the last one.
std::string_view name_of(Category category) noexcept;

struct User {
    std::string_view name;
    std::string_view password_hash;  // raw bytes
    std::string_view hashing_algorithm;
    std::vector<std::string_view> tags;
    const erlang::Term* limits = nullptr;  // nullptr: this version has none
};

struct VirtualHost {
    std::string_view name;
    const erlang::Term* limits = nullptr;
    const erlang::Term* metadata = nullptr;  // nullptr: this version has none
};

struct Permission {
    std::string_view user;
    std::string_view vhost;
    std::string_view configure;
    std::string_view write;
    std::string_view read;
};

struct TopicPermission {
    std::string_view user;
    std::string_view vhost;
    std::string_view exchange;
    std::string_view write;
    std::string_view read;
};

struct Parameter {
    std::string_view vhost;
    std::string_view component;
    std::string_view name;
    const erlang::Term* value = nullptr;
};

struct GlobalParameter {
    std::string_view name;
    const erlang::Term* value = nullptr;
};

struct Policy {
    std::string_view vhost;
    std::string_view name;
    const erlang::Term* pattern = nullptr;
    const erlang::Term* apply_to = nullptr;
    const erlang::Term* definition = nullptr;
    const erlang::Term* priority = nullptr;
};

// A queue or an exchange as others refer to it.
struct Resource {
    std::string_view vhost;
    std::string_view kind;  // "queue" or "exchange"
    std::string_view name;
};

struct Queue {
    Resource resource;
    std::string_view type;  // "classic", "quorum", "stream", or the module of another type
    bool durable = false;
    bool auto_delete = false;
    bool exclusive = false;
    const erlang::Term* arguments = nullptr;

    // Whether it is still there after its connection and its node have ended.
    bool is_lasting() const noexcept { return durable && !exclusive; }
};

// Where a queue lives.
struct Placement {
    std::string leader;  // the node of a classic queue, too; empty where the record does not say
    std::vector<std::string> members;  // nodes, each once: the leader's, mirrors', replicas'
};

struct Exchange {
    Resource resource;
    std::string_view type;
    bool durable = false;
    bool auto_delete = false;
    bool internal = false;
    const erlang::Term* arguments = nullptr;
};

struct Binding {
    Resource source;
    std::string_view routing_key;
    Resource destination;
    const erlang::Term* arguments = nullptr;
};

User user_of(const erlang::Term& record);
VirtualHost vhost_of(const erlang::Term& record);
Permission permission_of(const erlang::Term& record);
TopicPermission topic_permission_of(const erlang::Term& record);
Parameter parameter_of(const erlang::Term& record);
GlobalParameter global_parameter_of(const erlang::Term& record);
Policy policy_of(const erlang::Term& record);
Queue queue_of(const erlang::Term& record);
Placement placement_of(const erlang::Term& record);
Exchange exchange_of(const erlang::Term& record);
Binding binding_of(const erlang::Term& record);

// One row of an AMQP table: `{Name, Type, Value}`; or one element of an AMQP array: `{Type,
// Value}`.
struct Argument {
    std::string_view name;  // empty in an array
    std::string_view type;
    const erlang::Term* value = nullptr;
};
std::vector<Argument> table_of(const erlang::Term& table);
std::vector<Argument> array_of(const erlang::Term& array);

// `{Before, After}`, the number whose digits before and after the point these are
// (rabbit_misc:amqp_value/2).
double decimal_of(const erlang::Term& value);

}  // namespace hot_backup

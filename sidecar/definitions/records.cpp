#include "sidecar/definitions/records.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <string>
#include <utility>

namespace hot_backup {
namespace {

using erlang::Atom;
using erlang::Binary;
using erlang::List;
using erlang::Map;
using erlang::Opaque;
using erlang::Term;
using erlang::Tuple;

constexpr std::array<std::string_view, category_count> category_names = {
    "users",    "vhosts", "permissions", "topic_permissions", "parameters", "global_parameters",
    "policies", "queues", "exchanges",   "bindings",          "other"};

constexpr std::string_view parameters_table = "rabbit_runtime_parameters";

[[noreturn]] void unknown_shape(const char* what, const std::string& detail) {
    throw Error(
        ErrorCode::failed,
        std::string(what) + " in the snapshot has a shape that is not known here: " + detail,
        "The snapshot itself is intact. Its RabbitMQ is probably newer than this program: "
        "use the version of the program that goes with it.");
}

// Without the values: a record may hold a password hash.
std::string shape_of(const Tuple& tuple) {
    const auto* name = tuple.elements.empty() ? nullptr : tuple.elements[0].as<Atom>();
    return "{" + (name != nullptr ? name->name : std::string("_")) + ", ...} with " +
           std::to_string(tuple.elements.size()) + " elements";
}

const std::vector<Term>& elements_of(const char* what, const Term& term) {
    const auto* list = term.as<List>();
    if (list == nullptr || !list->proper()) {
        unknown_shape(what, "not a list");
    }
    return list->elements;
}

// The fields of a tuple by number (element 0, the record's name, included), each with the type that
// it must have.
class Fields {
public:
    // `what` names the record in errors. Mnesia's backup puts the name of the `table` in the place
    // of the record's `name` (mnesia_log:rec_filter/4); without a name the tuple is no record.
    Fields(const char* what, const Term& term, std::initializer_list<std::size_t> sizes,
           std::string_view name = {}, std::string_view table = {})
        : what_(what), tuple_(term.as<Tuple>()) {
        if (tuple_ == nullptr) {
            unknown_shape(what, "not a tuple");
        }
        const auto& elements = tuple_->elements;
        const bool known_size =
            std::find(sizes.begin(), sizes.end(), elements.size()) != sizes.end();
        const bool known_name =
            name.empty() || (!elements.empty() && (elements[0].is_atom(name) ||
                                                   (!table.empty() && elements[0].is_atom(table))));
        if (!known_size || !known_name) {
            unknown_shape(what, shape_of(*tuple_));
        }
    }

    std::size_t size() const noexcept { return tuple_->elements.size(); }
    const Term& term(std::size_t n) const { return tuple_->elements[n]; }
    const Term* pointer(std::size_t n) const { return &tuple_->elements[n]; }

    std::string_view binary(std::size_t n) const {
        const auto* value = term(n).as<Binary>();
        return value != nullptr ? std::string_view(value->bytes) : unknown_field(n);
    }

    std::string_view atom(std::size_t n) const {
        const auto* value = term(n).as<Atom>();
        return value != nullptr ? std::string_view(value->name) : unknown_field(n);
    }

    std::string_view text(std::size_t n) const {
        return term(n).as<Atom>() != nullptr ? atom(n) : binary(n);
    }

    bool boolean(std::size_t n) const {
        const auto value = atom(n);
        if (value != "true" && value != "false") {
            unknown_field(n);
        }
        return value == "true";
    }

    // Of an integer that is not negative.
    std::string digits(std::size_t n) const {
        const auto number = term(n).as_unsigned();
        return number ? std::to_string(*number) : std::string(unknown_field(n));
    }

    Resource resource(std::size_t n, std::string_view kind = {}) const {
        const Fields fields(what_, term(n), {4}, "resource");
        const Resource resource{fields.binary(1), fields.atom(2), fields.binary(3)};
        const bool known = kind.empty() ? resource.kind == "queue" || resource.kind == "exchange"
                                        : resource.kind == kind;
        if (!known) {
            fields.unknown_field(2);
        }
        return resource;
    }

    // Returns nothing; its type lets it stand where a value is wanted.
    [[noreturn]] std::string_view unknown_field(std::size_t n) const {
        unknown_shape(what_, "element " + std::to_string(n + 1) + " of " + shape_of(*tuple_));
    }

private:
    const char* what_;
    const Tuple* tuple_;
};

// The value under a binary or atom key of a map or property list, or nullptr.
const Term* property(const Term& properties, std::string_view key) {
    const auto is_key = [&](const Term& term) {
        const auto* binary = term.as<Binary>();
        return binary != nullptr ? binary->bytes == key : term.is_atom(key);
    };
    if (const auto* map = properties.as<Map>()) {
        for (const auto& [name, value] : map->pairs) {
            if (is_key(name)) {
                return &value;
            }
        }
    } else if (const auto* list = properties.as<List>()) {
        for (const auto& pair : list->elements) {
            const auto* tuple = pair.as<Tuple>();
            if (tuple != nullptr && tuple->elements.size() == 2 && is_key(tuple->elements[0])) {
                return &tuple->elements[1];
            }
        }
    }
    return nullptr;
}

std::string_view type_of(const Fields& queue) {
    // amqqueue_v1.erl: before queues had types there was only one.
    if (queue.size() == 19) {
        return "classic";
    }
    // rabbit_definitions:queue_definition/1.
    const auto module = queue.atom(19);
    if (module == "rabbit_classic_queue") {
        return "classic";
    }
    if (module == "rabbit_quorum_queue") {
        return "quorum";
    }
    return module == "rabbit_stream_queue" ? "stream" : module;
}

void add_node(std::vector<std::string>& nodes, const Term& node) {
    const auto* name = node.as<Atom>();
    if (name != nullptr && std::find(nodes.begin(), nodes.end(), name->name) == nodes.end()) {
        nodes.push_back(name->name);
    }
}

// A list of them, or from 4.2 on of a quorum queue a map with the nodes as keys
// (rabbit_quorum_queue:get_nodes/1).
void add_nodes(std::vector<std::string>& nodes, const Term& several) {
    if (const auto* map = several.as<Map>()) {
        for (const auto& [node, id] : map->pairs) {
            add_node(nodes, node);
        }
    } else if (const auto* list = several.as<List>()) {
        for (const auto& node : list->elements) {
            add_node(nodes, node);
        }
    }
}

}  // namespace

std::string_view name_of(Category category) noexcept {
    return category_names[static_cast<std::size_t>(category)];
}

// internal_user.erl (v2, since 3.8.10, with limits), internal_user_v1.erl.
User user_of(const Term& record) {
    const Fields fields("a user", record, {5, 6}, "internal_user", "rabbit_user");
    const auto algorithm = fields.atom(4);
    std::vector<std::string_view> tags;
    for (const auto& tag : elements_of("the tags of a user", fields.term(3))) {
        const auto* atom = tag.as<Atom>();
        if (atom == nullptr) {
            fields.unknown_field(3);
        }
        tags.push_back(atom->name);
    }
    return {
        .name = fields.binary(1),
        .password_hash = fields.binary(2),
        // rabbit_password:hashing_mod/1: users from before 3.6 say nothing.
        .hashing_algorithm = algorithm == "undefined" ? "rabbit_password_hashing_md5" : algorithm,
        .tags = std::move(tags),
        .limits = fields.size() == 6 ? fields.pointer(5) : nullptr};
}

// vhost.erl (v2, with metadata), vhost_v1.erl.
VirtualHost vhost_of(const Term& record) {
    const Fields fields("a virtual host", record, {3, 4}, "vhost", "rabbit_vhost");
    // vhost:new/2 leaves limits and metadata undefined.
    const auto known = [&](std::size_t n) {
        return n < fields.size() && !fields.term(n).is_atom("undefined") ? fields.pointer(n)
                                                                         : nullptr;
    };
    return {.name = fields.binary(1), .limits = known(2), .metadata = known(3)};
}

// #user_permission, #user_vhost and #permission in rabbit.hrl.
Permission permission_of(const Term& record) {
    constexpr auto what = "a permission";
    const Fields fields(what, record, {3}, "user_permission", "rabbit_user_permission");
    const Fields key(what, fields.term(1), {3}, "user_vhost");
    const Fields permission(what, fields.term(2), {4}, "permission");
    return {key.binary(1), key.binary(2), permission.binary(1), permission.binary(2),
            permission.binary(3)};
}

// #topic_permission, #topic_permission_key, #user_vhost and #permission in rabbit.hrl.
TopicPermission topic_permission_of(const Term& record) {
    constexpr auto what = "a topic permission";
    const Fields fields(what, record, {3}, "topic_permission", "rabbit_topic_permission");
    const Fields key(what, fields.term(1), {3}, "topic_permission_key");
    const Fields user_vhost(what, key.term(1), {3}, "user_vhost");
    const Fields permission(what, fields.term(2), {4}, "permission");
    return {user_vhost.binary(1), user_vhost.binary(2), key.binary(2), permission.binary(2),
            permission.binary(3)};
}

// #runtime_parameters in rabbit.hrl; keys: rabbit_runtime_parameters:p/1.
Parameter parameter_of(const Term& record) {
    constexpr auto what = "a parameter";
    const Fields fields(what, record, {3}, "runtime_parameters", parameters_table);
    const Fields key(what, fields.term(1), {3});
    return {key.binary(0), key.binary(1), key.text(2), fields.pointer(2)};
}

GlobalParameter global_parameter_of(const Term& record) {
    const Fields fields("a global parameter", record, {3}, "runtime_parameters", parameters_table);
    return {fields.atom(1), fields.pointer(2)};
}

// rabbit_policy:p/2.
Policy policy_of(const Term& record) {
    const auto parameter = parameter_of(record);
    Policy policy{.vhost = parameter.vhost,
                  .name = parameter.name,
                  .pattern = property(*parameter.value, "pattern"),
                  .apply_to = property(*parameter.value, "apply-to"),
                  .definition = property(*parameter.value, "definition"),
                  .priority = property(*parameter.value, "priority")};
    if (policy.pattern == nullptr || policy.apply_to == nullptr || policy.definition == nullptr ||
        policy.priority == nullptr) {
        Fields("a policy", record, {3}).unknown_field(2);
    }
    return policy;
}

// amqqueue.erl (v2), amqqueue_v1.erl.
Queue queue_of(const Term& record) {
    const Fields fields("a queue", record, {19, 21}, "amqqueue", "rabbit_durable_queue");
    const bool exclusive = fields.term(4).as<Opaque>() != nullptr;
    if (!exclusive && fields.atom(4) != "none") {
        fields.unknown_field(4);
    }
    return {.resource = fields.resource(1, "queue"),
            .type = type_of(fields),
            .durable = fields.boolean(2),
            .auto_delete = fields.boolean(3),
            .exclusive = exclusive,
            .arguments = fields.pointer(5)};
}

// amqqueue.erl: the process of a classic queue or a stream is a pid, of a quorum queue `{Name,
// Node}` (rabbit_quorum_queue:declare/2); the nodes of these two are in the state of their type,
// those with mirrors of a classic queue, which 4.0 has no more, are what it could be recovered
// from.
Placement placement_of(const Term& record) {
    constexpr std::size_t process = 6;
    constexpr std::size_t recoverable_mirrors = 9;
    constexpr std::size_t type_state = 20;
    const Fields fields("a queue", record, {19, 21}, "amqqueue", "rabbit_durable_queue");
    Placement placement;
    if (const auto* pid = fields.term(process).as<Opaque>()) {
        placement.leader = erlang::node_of(*pid);
    } else if (const auto* node = fields.term(process).element(1)) {
        placement.leader = node->as<Atom>() != nullptr ? node->as<Atom>()->name : "";
    }
    if (!placement.leader.empty()) {
        placement.members.push_back(placement.leader);
    }
    if (type_of(fields) == "classic") {
        add_nodes(placement.members, fields.term(recoverable_mirrors));
    } else if (const auto* nodes = property(fields.term(type_state), "nodes")) {
        add_nodes(placement.members, *nodes);
    }
    return placement;
}

// #exchange in rabbit.hrl.
Exchange exchange_of(const Term& record) {
    const Fields fields("an exchange", record, {12}, "exchange", "rabbit_durable_exchange");
    return {.resource = fields.resource(1, "exchange"),
            .type = fields.atom(2),
            .durable = fields.boolean(3),
            .auto_delete = fields.boolean(4),
            .internal = fields.boolean(5),
            .arguments = fields.pointer(6)};
}

// #binding in rabbit.hrl; in Mnesia it is the key of a #route.
Binding binding_of(const Term& record) {
    constexpr auto what = "a binding";
    const auto* name = record.element(0);
    const bool bare = name != nullptr && name->is_atom("binding");
    const Fields fields(
        what, bare ? record : Fields(what, record, {3}, "route", "rabbit_durable_route").term(1),
        {5}, "binding");
    return {.source = fields.resource(1, "exchange"),
            .routing_key = fields.binary(2),
            .destination = fields.resource(3),
            .arguments = fields.pointer(4)};
}

std::vector<Argument> table_of(const Term& table) {
    std::vector<Argument> rows;
    // rabbit_misc:amqp_table/1 takes these for empty tables.
    if (table.is_atom("undefined") || table.as<Map>() != nullptr) {
        return rows;
    }
    for (const auto& row : elements_of("an AMQP table", table)) {
        const Fields fields("an argument", row, {3});
        rows.push_back({fields.binary(0), fields.atom(1), fields.pointer(2)});
    }
    return rows;
}

std::vector<Argument> array_of(const Term& array) {
    std::vector<Argument> elements;
    for (const auto& element : elements_of("an AMQP array", array)) {
        const Fields fields("an element of an AMQP array", element, {2});
        elements.push_back({{}, fields.atom(0), fields.pointer(1)});
    }
    return elements;
}

double decimal_of(const Term& value) {
    const Fields fields("a decimal", value, {2});
    const auto digits = fields.digits(0) + "." + fields.digits(1);
    double number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

}  // namespace hot_backup

#include "sidecar/definitions/item.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <array>
#include <optional>
#include <string>

namespace hot_backup {
namespace {

using erlang::Term;

// Tags of the external term format (erts/emulator/internal_doc/ExternalTermFormat in Erlang/OTP).
enum : unsigned char {
    small_tuple_tag = 'h',
    large_tuple_tag = 'i',
    list_tag = 'l',
    map_tag = 't',
    small_atom_tag = 's',
    small_atom_utf8_tag = 'w',
    atom_tag = 'd',
    atom_utf8_tag = 'v',
    binary_tag = 'm',
};

[[noreturn]] void no_item(const std::string& why) {
    throw Error(ErrorCode::damaged, "an item of the metadata snapshot is " + why,
                "Verify the backup; if its digests are right, report this as a defect.");
}

unsigned char byte_at(std::string_view bytes, std::size_t n) {
    return static_cast<unsigned char>(bytes.at(n));
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t length) {
    std::uint64_t number = 0;
    for (std::size_t n = at; n < at + length; ++n) {
        number = number << 8U | byte_at(bytes, n);
    }
    return number;
}

// Takes the elements of a tuple or a list one after the other; of anything else there are none.
class Elements {
public:
    explicit Elements(std::string_view encoded) : rest_(encoded) {
        const auto tag = byte_at(encoded, 0);
        const std::size_t length_size =
            tag == small_tuple_tag ? 1 : (tag == large_tuple_tag || tag == list_tag ? 4 : 0);
        if (length_size != 0) {
            left_ = number_at(rest_, 1, length_size);
            rest_.remove_prefix(1 + length_size);
        }
    }

    std::uint64_t left() const noexcept { return left_; }
    std::optional<std::string_view> next() {
        if (left_ == 0) {
            return std::nullopt;
        }
        --left_;
        const auto length = erlang::check_term(rest_).length;
        const auto element = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return element;
    }

private:
    std::string_view rest_;
    std::uint64_t left_ = 0;
};

// The name of an encoded atom. RabbitMQ's tables and paths are ASCII, so Latin-1 atoms need no
// conversion.
std::optional<std::string_view> atom_name(std::string_view encoded) {
    switch (byte_at(encoded, 0)) {
        case small_atom_tag:
        case small_atom_utf8_tag:
            return encoded.substr(2);
        case atom_tag:
        case atom_utf8_tag:
            return encoded.substr(3);
        default:
            return std::nullopt;
    }
}

bool is_binary(std::string_view encoded, std::string_view bytes) {
    return byte_at(encoded, 0) == binary_tag && encoded.substr(5) == bytes;
}

// rabbit_runtime_parameters:p/1: an atom is the name of a global parameter, `{VHost, Component,
// Name}` that of another.
Category category_of_parameter(std::string_view key) {
    if (atom_name(key)) {
        return Category::global_parameters;
    }
    Elements elements(key);
    elements.next();
    const auto component = elements.next();
    return component && is_binary(*component, "policy") ? Category::policies : Category::parameters;
}

// What RabbitMQ stores: Mnesia's durable tables (rabbit_table.erl) and the names of the records in
// them, which Khepri has too.
struct Stored {
    std::string_view table;
    std::string_view record;
    Category category;
};
constexpr std::array<Stored, 8> all_stored = {{
    {"rabbit_user", "internal_user", Category::users},
    {"rabbit_vhost", "vhost", Category::vhosts},
    {"rabbit_user_permission", "user_permission", Category::permissions},
    {"rabbit_topic_permission", "topic_permission", Category::topic_permissions},
    {"rabbit_runtime_parameters", "runtime_parameters", Category::parameters},
    {"rabbit_durable_queue", "amqqueue", Category::queues},
    {"rabbit_durable_exchange", "exchange", Category::exchanges},
    {"rabbit_durable_route", "binding", Category::bindings},
}};

// By the name of the table or of the record. The tables that plugins add are `other`.
Category category_of(std::string_view Stored::*kind, std::string_view name, std::string_view key) {
    for (const auto& stored : all_stored) {
        if (stored.*kind == name) {
            return stored.category == Category::parameters ? category_of_parameter(key)
                                                           : stored.category;
        }
    }
    return Category::other;
}

bool is_map(std::string_view encoded) {
    return byte_at(encoded, 0) == map_tag;
}

// What a node of Khepri's tree holds: a record, or a set of bindings (of version 2: a map that has
// them as keys).
Category category_of_data(std::string_view data) {
    const bool set = is_map(data) && number_at(data, 1, 4) > 0;
    Elements elements(set ? data.substr(5) : data);
    const auto first = elements.next();
    const auto key = elements.next();
    const auto name = first ? atom_name(*first) : std::nullopt;
    if (!name || !key) {
        return Category::other;
    }
    const auto category = category_of(&Stored::record, *name, *key);
    return set && category != Category::bindings ? Category::other : category;
}

// `{put, Path, Payload, Properties}`; `elements` stands before Path. khepri_payload.hrl: data is
// `{p_data, Data}`, in newer versions with more elements. Paths differ among versions of RabbitMQ
// more than records do, so they do not matter here.
Item parse_put(Elements elements) {
    Item item;
    item.kind = Item::Kind::no_data;
    item.table = "khepri";
    elements.next();
    Elements payload(elements.next().value());
    const auto name = payload.next();
    if (name && atom_name(*name) == "p_data" && payload.left() > 0) {
        item.kind = Item::Kind::record;
        item.data = payload.next().value();
        item.category = category_of_data(item.data);
    }
    return item;
}

bool is_binding_set(const Item& item) {
    return item.category == Category::bindings && is_map(item.data);
}

}  // namespace

Item parse_item(std::string_view encoded) {
    Elements elements(encoded);
    const bool tuple = byte_at(encoded, 0) != list_tag && elements.left() >= 2;
    const auto first = tuple ? elements.next() : std::nullopt;
    const auto table = first ? atom_name(*first) : std::nullopt;
    if (!table) {
        no_item("neither a record nor a deletion");
    }
    if (*table == "put" && elements.left() == 3) {
        return parse_put(elements);
    }
    Item item;
    item.table = *table;
    item.data = encoded;
    if (*table == "log_header" || *table == "schema") {
        return item;
    }
    const bool deletion = elements.left() == 1;
    const auto key = elements.next().value();
    item.kind = deletion ? Item::Kind::deletion : Item::Kind::record;
    item.category = category_of(&Stored::table, *table, key);
    // Both stand next to each other, whatever encloses them.
    item.identity = {first->data(), first->size() + key.size()};
    return item;
}

void for_each_record(const Item& item, const std::function<void(const Term&)>& consume) {
    const auto term = erlang::decode_item(item.data);
    if (!is_binding_set(item)) {
        consume(term);
        return;
    }
    for (const auto& [binding, ignored] : term.as<erlang::Map>()->pairs) {
        consume(binding);
    }
}

std::uint64_t count_records(const Item& item) {
    return is_binding_set(item) ? number_at(item.data, 1, 4) : 1;
}

}  // namespace hot_backup

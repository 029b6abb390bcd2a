#include "sidecar/definitions/amqp_table.hpp"

#include "sidecar/definitions/records.hpp"
#include "sidecar/definitions/text.hpp"

#include <cstddef>
#include <string_view>
#include <unordered_map>

namespace hot_backup {
namespace {

using erlang::Term;

void write_value(JsonWriter& json, std::string_view type, const Term& value) {
    if (type == "table") {
        write_amqp_table(json, value);
    } else if (type == "array") {
        json.begin_array();
        for (const auto& element : array_of(value)) {
            write_value(json, element.type, *element.value);
        }
        json.end_array();
    } else if (type == "decimal") {
        json.term(decimal_of(value));
    } else if (const auto* binary = value.as<erlang::Binary>()) {
        json.string(exported_argument(binary->bytes));
    } else {
        json.term(value);
    }
}

}  // namespace

void write_amqp_table(JsonWriter& json, const Term& table) {
    const auto rows = table_of(table);
    // A client may send a name twice. RabbitMQ exports the last one, and JSON has no place for
    // both.
    std::unordered_map<std::string_view, std::size_t> last;
    for (std::size_t n = 0; n < rows.size(); ++n) {
        last[rows[n].name] = n;
    }
    json.begin_object();
    for (std::size_t n = 0; n < rows.size(); ++n) {
        if (last[rows[n].name] == n) {
            json.key(rows[n].name);
            write_value(json, rows[n].type, *rows[n].value);
        }
    }
    json.end_object();
}

}  // namespace hot_backup

// The arguments of queues, exchanges and bindings as JSON.
#pragma once

#include "erlang_port/term.hpp"
#include "sidecar/definitions/json_writer.hpp"

namespace hot_backup {

// Writes a list of `{Name, Type, Value}` as the object that rabbit_misc:amqp_table/1 makes of it.
// JSON loses the types: a timestamp becomes a number, a decimal a float, bytes that are not UTF-8 a
// text that holds them in base64. The raw snapshot keeps them. Throws Error (failed) when `table`
// is no AMQP table.
void write_amqp_table(JsonWriter& json, const erlang::Term& table);

}  // namespace hot_backup

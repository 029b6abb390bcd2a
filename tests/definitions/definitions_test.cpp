// From records to definitions: every category, the older and newer shapes, and what is left out.
#include "sidecar/definitions/definitions.hpp"

#include "erlang_port/error.hpp"
#include "tests/definitions/snapshot_builder.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <sstream>
#include <string>
#include <vector>

using namespace hot_backup;
using namespace snapshot_builder;
using erlang::atom;
using erlang::binary;
using erlang::integer;
using erlang::list;
using erlang::map;
using erlang::tuple;
using nlohmann::json;

namespace {

struct Written {
    std::string text;
    json document;
    DefinitionsReport report;
};

Written write(const std::vector<Term>& items, const std::string& version = "3.10.8") {
    MemorySource source(chunk(items));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::ostringstream out;
    const auto report = write_definitions(snapshot, {.rabbitmq_version = version}, out);
    return {out.str(), json::parse(out.str()), report};
}

json definitions(const std::vector<Term>& items) {
    return write(items).document;
}

Term durable_queue(Term queue) {
    return in_table("rabbit_durable_queue", std::move(queue));
}

Term durable_exchange(Term exchange) {
    return in_table("rabbit_durable_exchange", std::move(exchange));
}

Term durable_route(Term binding) {
    return in_table("rabbit_durable_route", route(std::move(binding)));
}

Term runtime_parameter(Term parameter) {
    return in_table("rabbit_runtime_parameters", std::move(parameter));
}

Term argument(std::string_view name, std::string_view type, Term value) {
    return tuple({binary(name), atom(type), std::move(value)});
}

// The arguments that a queue with these is exported with.
json arguments(std::vector<Term> rows) {
    return definitions(
        {durable_queue(queue("v", "q", list(std::move(rows))))})["queues"][0]["arguments"];
}

}  // namespace

TEST_CASE("an empty snapshot gives every category, in the order in which they are documented") {
    const auto written = write({});
    CHECK(written.text ==
          R"({"rabbit_version":"3.10.8","rabbitmq_version":"3.10.8","users":[],"vhosts":[],)"
          R"("permissions":[],"topic_permissions":[],"parameters":[],"global_parameters":[],)"
          R"("policies":[],"queues":[],"exchanges":[],"bindings":[]})");
}

TEST_CASE("the document has a definition a line") {
    const auto written =
        write({in_table("rabbit_vhost", vhost("a")), in_table("rabbit_vhost", vhost("b")),
               durable_queue(queue("a", "q"))});
    CHECK_THAT(written.text, Catch::Contains("\"vhosts\":[\n{\"name\":\"a\"") &&
                                 Catch::Contains("},\n{\"name\":\"b\"") &&
                                 Catch::Contains("}\n],\"permissions\":[],") &&
                                 Catch::EndsWith("}\n],\"exchanges\":[],\"bindings\":[]}"));
}

TEST_CASE("an output that refuses bytes is an error") {
    MemorySource source(chunk({}));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::ostringstream out;
    out.setstate(std::ios::badbit);
    CHECK_THROWS_WITH(write_definitions(snapshot, {.rabbitmq_version = "3.10.8"}, out),
                      Catch::Contains("does not take"));
}

TEST_CASE("definitions are handed out one by one, without those that are left out") {
    MemorySource source(chunk({in_table("rabbit_vhost", vhost("v")), durable_queue(queue("v", "q")),
                               durable_exchange(exchange("v", "amq.topic"))}));
    Snapshot snapshot(source, SnapshotIndex::scan(source));
    std::vector<std::string> found;
    for_each_definition(snapshot, {.rabbitmq_version = "3.10.8"},
                        [&](std::string_view section, std::string_view definition) {
                            const std::string name = json::parse(definition).at("name");
                            found.push_back(std::string(section) + " " + name);
                        });
    CHECK(found == std::vector<std::string>{"vhosts v", "queues q"});
}

TEST_CASE("users with hash, algorithm, tags and limits") {
    const auto limited = with(user("b", {atom("administrator"), atom("é")}), 5,
                              map({{"max-connections", integer(3)}}));
    CHECK(definitions({in_table("rabbit_user", limited)})["users"] == json::parse(R"([{
        "name": "b", "password_hash": "Af5oYXNo", "tags": ["administrator", "é"],
        "hashing_algorithm": "rabbit_password_hashing_sha256", "limits": {"max-connections": 3}}])"));
}

TEST_CASE("users as RabbitMQ 3.8 stores and imports them") {
    const auto old = tuple({atom("rabbit_user"), binary("u"), binary(""),
                            list({atom("management"), atom("policymaker")}), atom("undefined")});
    CHECK(write({old}, "3.8.9").document["users"] == json::parse(R"([{
        "name": "u", "password_hash": "", "tags": "management,policymaker",
        "hashing_algorithm": "rabbit_password_hashing_md5"}])"));
    CHECK(write({old}, "3.9.0").document["users"][0]["tags"] ==
          json({"management", "policymaker"}));
}

TEST_CASE("virtual hosts with limits and metadata") {
    const auto full =
        with(with(vhost("v"), 2, list({tuple({binary("max-queues"), integer(5)})})), 3,
             map({{"description", binary("d")},
                  {"tags", list({atom("t")})},
                  {"default_queue_type", binary("quorum")}}));
    const auto v1 = tuple({atom("rabbit_vhost"), binary("old"), list({})});
    const auto bare = with(with(vhost("bare"), 2, atom("undefined")), 3, atom("undefined"));
    CHECK(definitions({in_table("rabbit_vhost", full), v1,
                       in_table("rabbit_vhost", bare)})["vhosts"] == json::parse(R"([
        {"name": "v", "limits": {"max-queues": 5},
         "metadata": {"description": "d", "tags": ["t"], "default_queue_type": "quorum"}},
        {"name": "old", "limits": {}, "metadata": {}},
        {"name": "bare", "limits": {}, "metadata": {}}])"));
}

TEST_CASE("permissions and topic permissions") {
    const auto user_vhost = tuple({atom("user_vhost"), binary("u"), binary("v")});
    const auto document = definitions(
        {tuple({atom("rabbit_user_permission"), user_vhost,
                tuple({atom("permission"), binary("c"), binary("w"), binary("r")})}),
         tuple({atom("rabbit_topic_permission"),
                tuple({atom("topic_permission_key"), user_vhost, binary("x")}),
                tuple({atom("permission"), atom("undefined"), binary("w"), binary("r")})})});
    CHECK(document["permissions"] == json::parse(R"([
        {"user": "u", "vhost": "v", "configure": "c", "write": "w", "read": "r"}])"));
    CHECK(document["topic_permissions"] == json::parse(R"([
        {"user": "u", "vhost": "v", "exchange": "x", "write": "w", "read": "r"}])"));
}

TEST_CASE("parameters, global parameters and policies come from one table") {
    const auto definition = list({tuple({binary("max-length"), integer(9)})});
    const auto document = definitions(
        {runtime_parameter(parameter("v", "policy", "p", policy_value("^a", definition))),
         runtime_parameter(parameter("v", "operator_policy", "o", policy_value("^b", definition))),
         runtime_parameter(parameter("v", "vhost-limits", "limits",
                                     list({tuple({binary("max-queues"), integer(1)})}))),
         runtime_parameter(parameter("v", "federation-upstream-set", "s",
                                     list({map({{"upstream", binary("a")}}),
                                           list({tuple({binary("upstream"), binary("b")})})}))),
         runtime_parameter(parameter("v", "exchange-delete-in-progress", "x", list({}))),
         runtime_parameter(parameter("v", "imported_definition_hash_value", "h", binary("\xFF"))),
         runtime_parameter(global_parameter("cluster_name", binary("c"))),
         runtime_parameter(
             global_parameter("mqtt_port", list({tuple({binary("1883"), atom("true")})}))),
         runtime_parameter(global_parameter("internal_cluster_id", binary("secret"))),
         runtime_parameter(global_parameter("imported_definition_hash_value", binary("\xFF")))});
    CHECK(document["policies"] == json::parse(R"([{"vhost": "v", "name": "p", "pattern": "^a",
        "apply-to": "queues", "definition": {"max-length": 9}, "priority": 7}])"));
    CHECK(document["parameters"] == json::parse(R"([
        {"vhost": "v", "component": "operator_policy", "name": "o", "value":
            {"pattern": "^b", "apply-to": "queues", "definition": {"max-length": 9}, "priority": 7}},
        {"vhost": "v", "component": "vhost-limits", "name": "limits", "value": {"max-queues": 1}},
        {"vhost": "v", "component": "federation-upstream-set", "name": "s",
         "value": [{"upstream": "a"}, {"upstream": "b"}]}])"));
    CHECK(document["global_parameters"] == json::parse(R"([
        {"name": "cluster_name", "value": "c"}, {"name": "mqtt_port", "value": {"1883": true}}])"));
}

TEST_CASE("queues of every type and of older shapes") {
    const auto typed = [](std::string_view name, std::string_view type) {
        return durable_queue(with(queue("v", name), 19, atom(type)));
    };
    auto v1 = queue("v", "v1");
    std::get<erlang::Tuple>(v1.value()).elements.resize(19);
    const auto queues =
        definitions({typed("c", "rabbit_classic_queue"), typed("q", "rabbit_quorum_queue"),
                     typed("s", "rabbit_stream_queue"), typed("p", "a_plugins_queue"),
                     durable_queue(v1)})["queues"];
    CHECK(queues[0] == json::parse(R"({"vhost": "v", "name": "c", "type": "classic",
        "durable": true, "auto_delete": false, "arguments": {}})"));
    CHECK(queues[1]["type"] == "quorum");
    CHECK(queues[2]["type"] == "stream");
    CHECK(queues[3]["type"] == "a_plugins_queue");
    CHECK(queues[4]["type"] == "classic");
}

TEST_CASE("exchanges, without RabbitMQ's own and internal ones") {
    const auto exchanges =
        definitions({durable_exchange(exchange("v", "x")), durable_exchange(exchange("v", "")),
                     durable_exchange(exchange("v", "amq.topic")),
                     durable_exchange(with(exchange("v", "in"), 5, atom("true"))),
                     durable_exchange(with(exchange("v", "amqp"), 4, atom("true")))})["exchanges"];
    CHECK(exchanges == json::parse(R"([
        {"vhost": "v", "name": "x", "type": "topic", "durable": true, "auto_delete": false,
         "arguments": {}},
        {"vhost": "v", "name": "amqp", "type": "topic", "durable": true, "auto_delete": true,
         "arguments": {}}])"));
}

TEST_CASE("the exchange of the broker's log is in definitions from 4.2.4 on") {
    const auto log = durable_exchange(with(exchange("/", "amq.rabbitmq.log"), 5, atom("true")));
    CHECK(write({log}, "4.2.3").document["exchanges"].empty());
    CHECK(write({log}, "4.2.4").document["exchanges"].size() == 1);
    CHECK(write({log}, "4.3.0").document["exchanges"][0]["name"] == "amq.rabbitmq.log");
}

TEST_CASE("bindings, those of internal exchanges too, without the default exchange's") {
    const auto to_exchange = with(binding("v", "x", "", "k"), 3, resource("v", "exchange", "y"));
    const auto bindings = definitions(
        {durable_exchange(with(exchange("v", "in"), 5, atom("true"))),
         durable_route(binding("v", "x", "q", "k", list({argument("a", "long", integer(1))}))),
         durable_route(to_exchange), durable_route(binding("v", "in", "q", "k")),
         durable_route(binding("v", "", "q", "q"))})["bindings"];
    CHECK(bindings == json::parse(R"([
        {"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue",
         "routing_key": "k", "arguments": {"a": 1}},
        {"source": "x", "vhost": "v", "destination": "y", "destination_type": "exchange",
         "routing_key": "k", "arguments": {}},
        {"source": "in", "vhost": "v", "destination": "q", "destination_type": "queue",
         "routing_key": "k", "arguments": {}}])"));
}

TEST_CASE("what is exclusive or not durable is left out with its bindings") {
    const auto document = definitions(
        {durable_route(binding("v", "x", "mine", "")), durable_route(binding("v", "x", "gone", "")),
         durable_route(binding("v", "brief", "q", "")), durable_route(binding("v", "x", "q", "")),
         durable_route(binding("w", "x", "mine", "")),
         durable_route(with(binding("v", "x", "", ""), 3, resource("v", "exchange", "brief"))),
         durable_route(with(binding("v", "x", "", ""), 3, resource("v", "exchange", "mine"))),
         durable_queue(queue("v", "q")), durable_queue(with(queue("v", "mine"), 4, some_pid())),
         durable_queue(with(queue("v", "gone"), 2, atom("false"))),
         durable_exchange(exchange("v", "x")),
         durable_exchange(with(exchange("v", "brief"), 3, atom("false")))});
    CHECK(document["queues"].size() == 1);
    CHECK(document["exchanges"].size() == 1);
    std::vector<std::string> kept;
    for (const auto& binding : document["bindings"]) {
        kept.push_back(binding["vhost"].get<std::string>() + ":" +
                       binding["destination_type"].get<std::string>() + ":" +
                       binding["destination"].get<std::string>());
    }
    CHECK(kept == std::vector<std::string>{"v:queue:q", "w:queue:mine", "v:exchange:mine"});
}

TEST_CASE("every type of an AMQP table") {
    CHECK(arguments(
              {argument("longstr", "longstr", binary("é")),
               argument("bytes", "binary", binary("\xFF")),
               argument("byte", "byte", std::int64_t{-1}),
               argument("unsignedbyte", "unsignedbyte", integer(255)),
               argument("short", "short", std::int64_t{-2}),
               argument("unsignedshort", "unsignedshort", integer(65535)),
               argument("signedint", "signedint", std::int64_t{-3}),
               argument("unsignedint", "unsignedint", integer(4294967295)),
               argument("long", "long", std::int64_t{-4}),
               argument("timestamp", "timestamp", integer(18446744073709551615U)),
               argument("float", "float", 1.5), argument("double", "double", 2.0),
               argument("bool", "bool", atom("true")), argument("void", "void", atom("undefined")),
               argument("decimal", "decimal", tuple({integer(2), integer(314)})),
               argument("table", "table", list({argument("k", "longstr", binary("v"))})),
               argument("empty", "table", list({})),
               argument("array", "array",
                        list({tuple({atom("long"), integer(1)}), tuple({atom("table"), list({})}),
                              tuple({atom("array"), list({})})}))}) == json::parse(R"({
        "longstr": "é", "bytes": "Not UTF-8, base64 is: /w==", "byte": -1, "unsignedbyte": 255,
        "short": -2, "unsignedshort": 65535, "signedint": -3, "unsignedint": 4294967295,
        "long": -4, "timestamp": 18446744073709551615, "float": 1.5, "double": 2.0, "bool": true,
        "void": "undefined", "decimal": 2.314, "table": {"k": "v"}, "empty": {},
        "array": [1, {}, []]})"));
}

TEST_CASE("of an argument that occurs twice the last one counts") {
    const auto written = write({durable_queue(
        queue("v", "q",
              list({argument("a", "long", integer(1)), argument("b", "long", integer(2)),
                    argument("a", "long", integer(3))})))});
    CHECK_THAT(written.text, Catch::Contains(R"("arguments":{"b":2,"a":3})"));
}

TEST_CASE("an integer of any size is written digit by digit") {
    const auto written = write({runtime_parameter(parameter(
        "v", "c", "n",
        list({tuple(
            {binary("big"), erlang::BigInteger{false, std::vector<std::uint8_t>(17, 0xFF)}})})))});
    CHECK_THAT(written.text,
               Catch::Contains(R"({"big":87112285931760246646623899502532662132735})"));
}

TEST_CASE("names that are not UTF-8 are written readably and reported") {
    const auto written = write({durable_queue(queue("v", "a\xFFz"))});
    CHECK(written.document["queues"][0]["name"] == "a\xEF\xBF\xBDz");
    CHECK(written.report.replaced_strings == 1);
    CHECK(write({durable_queue(queue("v", "q"))}).report.replaced_strings == 0);
}

TEST_CASE("a record of an unknown shape is an error that names it and keeps its secrets") {
    const auto fails = [](const Term& item, const std::string& what) {
        CHECK_THROWS_MATCHES(write({item}), Error, Catch::Predicate<Error>([&](const Error& error) {
                                 INFO(error.what());
                                 const std::string text = error.what();
                                 return error.code() == ErrorCode::failed &&
                                        !error.hint().empty() &&
                                        text.find(what) != std::string::npos &&
                                        text.find("hash") == std::string::npos;
                             }));
    };
    const auto in_user = [](const Term& record) { return in_table("rabbit_user", record); };
    auto longer = user("u");
    std::get<erlang::Tuple>(longer.value()).elements.resize(8);
    fails(in_user(longer), "{rabbit_user, ...} with 8 elements");
    fails(in_user(with(user("u"), 3, binary("administrator"))), "tags of a user");
    fails(in_user(with(user("u"), 2, list({}))), "element 3 of {rabbit_user, ...}");
    fails(in_table("rabbit_vhost", with(vhost("v"), 1, atom("v"))), "a virtual host");
    fails(durable_queue(with(queue("v", "q"), 4, binary("pid"))), "element 5 of");
    fails(durable_queue(with(queue("v", "q"), 2, atom("maybe"))), "element 3 of");
    fails(durable_queue(with(queue("v", "q"), 1, resource("v", "exchange", "q"))), "a queue");
    fails(durable_queue(queue("v", "q", list({tuple({binary("a"), integer(1)})}))), "an argument");
    fails(durable_queue(queue("v", "q", integer(1))), "an AMQP table");
    fails(durable_queue(queue("v", "q", list({argument("a", "array", integer(1))}))),
          "an AMQP array");
    fails(durable_queue(queue("v", "q", list({argument("a", "decimal", integer(1))}))),
          "a decimal");
    fails(durable_exchange(with(exchange("v", "x"), 2, binary("topic"))), "an exchange");
    fails(tuple({atom("rabbit_durable_route"), resource("v", "queue", "q"), atom("const")}),
          "a binding");
    fails(durable_route(with(binding("v", "x", "q", "k"), 3, resource("v", "topic", "q"))),
          "a binding");
    fails(runtime_parameter(parameter("v", "policy", "p", list({}))), "a policy");
    fails(in_table("rabbit_user_permission", with(user("u"), 1, binary("u"))), "a permission");
    fails(put({":rabbitmq", ":vhosts", "v"}, with(vhost("v"), 1, atom("v"))), "a virtual host");
    fails(put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":bindings", ":queue", "q", "k"},
              erlang::Map{{{tuple({atom("binding"), atom("x")}), list({})}}}),
          "a binding");
}

TEST_CASE("a Khepri snapshot gives the same definitions, without what is not durable") {
    const erlang::Map bindings{
        {{binding("v", "x", "q", "k"), list({})},
         {binding("v", "x", "q", "k", list({argument("a", "long", integer(1))})), list({})}}};
    const erlang::Map brief_binding{{{binding("v", "x", "brief", "k"), list({})}}};
    const auto document = definitions(
        {put({":rabbitmq", ":users", "u"}, user("u", {atom("administrator")})),
         put({":rabbitmq", ":vhosts", "v"}, vhost("v")),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":bindings", ":queue", "brief", "k"},
             brief_binding),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x"}, exchange("v", "x")),
         put({":rabbitmq", ":vhosts", "v", ":exchanges", "x", ":bindings", ":queue", "q", "k"},
             bindings),
         put({":rabbitmq", ":vhosts", "v", ":queues", "q"},
             with(queue("v", "q"), 19, atom("rabbit_quorum_queue"))),
         put({":rabbitmq", ":vhosts", "v", ":queues", "brief"},
             with(queue("v", "brief"), 2, atom("false")))});
    CHECK(document["users"].size() == 1);
    CHECK(document["vhosts"].size() == 1);
    CHECK(document["exchanges"].size() == 1);
    CHECK(document["queues"].size() == 1);
    CHECK(document["queues"][0]["type"] == "quorum");
    CHECK(document["bindings"].size() == 2);
}

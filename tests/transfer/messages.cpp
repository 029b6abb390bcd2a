#include "tests/transfer/messages.hpp"

#include "sidecar/transfer/message_properties.hpp"
#include "tests/transfer/two_brokers.hpp"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string_view>

namespace transfer_tests {

using harness::AmqpArray;
using harness::AmqpTable;
using harness::PublishOptions;

namespace {

// Every property, and every type of field that RabbitMQ knows. 3.10 has no place for some of them
// in streams.
PublishOptions everything(const std::string& type) {
    PublishOptions options;
    options.headers = {
        {"void", {harness::AmqpVoid{}}},
        {"bool", {true}},
        {"i8", {std::int8_t{-8}}},
        {"u8", {std::uint8_t{208}}},
        {"i16", {std::int16_t{-1600}}},
        {"u16", {std::uint16_t{61600}}},
        {"i32", {std::int32_t{-320000}}},
        {"u32", {std::uint32_t{3200000000U}}},
        {"i64", {std::int64_t{-64000000000}}},
        {"float", {1.5F}},
        {"double", {-2.25}},
        {"timestamp", {harness::AmqpTimestamp{1795332761}}},
        {"text", {std::string("grüße\n\"quoted\"")}},
        {"bytes", {harness::AmqpBytes{std::string("\0\xFF\x01", 3)}}},
        {"x-custom", {std::string("kept")}},
    };
    if (type != "stream") {
        const AmqpTable more{
            {"decimal", {harness::AmqpDecimal{2, 12345}}},
            {"array", {AmqpArray{{std::string("a")}, {std::int32_t{1}}, {harness::AmqpVoid{}}}}},
            {"table", {AmqpTable{{"inner", {AmqpTable{{"x", {false}}}}}}}},
            {"x-death", {AmqpArray{{AmqpTable{{"count", {std::int64_t{3}}}}}}}},
            {"CC", {AmqpArray{{std::string("elsewhere")}}}},
        };
        options.headers.insert(options.headers.end(), more.begin(), more.end());
    }
    options.content_type = "application/x-ünï";
    options.content_encoding = "gzip";
    options.priority = 7;
    options.correlation_id = "correlation";
    options.reply_to = "reply.to";
    options.expiration = "86400000";
    options.message_id = "id-1";
    options.timestamp = 1795332761;
    options.type = "order.created";
    options.user_id = "guest";
    options.app_id = "shop";
    return options;
}

// Later releases sort the headers.
void check_same_properties(const std::string& before, const std::string& after) {
    std::vector<std::string> names;
    for (const auto& [name, value] : everything("classic").headers) {
        names.push_back(name);
    }
    const auto without = [&](const std::string& properties, const std::string& kept) {
        std::vector<std::string_view> others;
        for (const auto& name : names) {
            if (name != kept) {
                others.emplace_back(name);
            }
        }
        return hot_backup::without_headers(properties, others);
    };
    names.emplace_back();
    for (const auto& name : names) {
        CAPTURE(name);
        CHECK(without(before, name) == without(after, name));
    }
}

}  // namespace

std::size_t send_every_kind(harness::AmqpClient& client, const std::string& exchange,
                            const std::string& type) {
    client.send(exchange, "orders.plain", "plain");
    client.send(exchange, "orders.all.ü", "with everything", everything(type));
    client.send(exchange, "orders.transient", "", {.persistent = false});
    client.send(exchange, "orders.large", std::string(3'000'000, 'x'));
    // Bodies that go in parts, behind others that wait for their batch to be full.
    for (const std::size_t size : {100'000U, 500'000U, 10U, 400'000U, 700'000U, 800'000U}) {
        client.send(exchange, "orders.parts", std::string(size, 'p') + std::to_string(size));
    }
    for (int n = 0; n < 2500; ++n) {
        client.send(exchange, "orders." + std::to_string(n), "body " + std::to_string(n));
    }
    wait_for_confirms(client, 2510);
    return 2510;
}

void check_same(const std::vector<harness::Delivery>& before,
                const std::vector<harness::Delivery>& after) {
    REQUIRE(before.size() == after.size());
    for (std::size_t n = 0; n < before.size(); ++n) {
        CAPTURE(n);
        CHECK(before[n].exchange == after[n].exchange);
        CHECK(before[n].routing_key == after[n].routing_key);
        check_same_properties(before[n].properties, after[n].properties);
        CHECK(before[n].body == after[n].body);
        CHECK_FALSE(after[n].redelivered);
    }
}

}  // namespace transfer_tests

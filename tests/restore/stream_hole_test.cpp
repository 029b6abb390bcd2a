// The hole in the recovery of streams, on a real broker: it is there, and a restore closes it.
#include "sidecar/restore/stream_repair.hpp"
#include "tests/harness/amqp_client.hpp"
#include "tests/integration/support.hpp"
#include "tests/tools/image.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

using namespace harness;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

const std::string stream = "hole";

// Many segments of a few chunks each.
const AmqpTable arguments{{"x-queue-type", {std::string("stream")}},
                          {"x-stream-max-segment-size-bytes", {std::int32_t{20'000}}}};
const std::string body(3000, 'b');
constexpr std::size_t published = 40;

std::vector<fs::path> segments(const fs::path& data_directory) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(data_directory / "stream")) {
        if (entry.path().extension() == ".segment") {
            found.push_back(entry.path());
        }
    }
    std::ranges::sort(found);
    return found;
}

std::uint64_t number(const std::string& bytes, std::size_t at, std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t n = at; n < at + size; ++n) {
        value = value << 8 | static_cast<unsigned char>(bytes.at(n));
    }
    return value;
}

fs::path index_of(fs::path segment) {
    return segment.replace_extension(".index");
}

// Their records have 29 bytes each.
std::size_t chunks_in(const fs::path& segment) {
    return (fs::file_size(index_of(segment)) - 8) / 29;
}

// As a crash leaves it that comes between the first chunk of the newest segment and its record: a
// chunk has a header of 48 bytes, with the sizes of its data and trailer at 36 and 40.
void take_back_last_record(const fs::path& newest) {
    const std::string content = read_file(newest);
    const auto chunk = 48 + number(content, 8 + 36, 4) + number(content, 8 + 40, 4);
    REQUIRE(8 + chunk <= content.size());
    fs::resize_file(newest, 8 + chunk);
    fs::resize_file(index_of(newest), 8);
}

// How many messages the stream gives up to one that is published now; none when it ends before.
std::optional<std::size_t> read_all(const Broker& broker) {
    AmqpClient client(broker.amqp_port());
    client.publish("", stream, "the end");
    client.consume(stream, 100, {.arguments = {{"x-stream-offset", {std::string("first")}}}});
    try {
        for (std::size_t count = 0;; ++count) {
            const auto delivery = client.next_delivery(10s);
            if (!delivery) {
                return std::nullopt;
            }
            client.acknowledge(delivery->tag);
            if (delivery->body == "the end") {
                return count;
            }
        }
    } catch (const hot_backup::Error&) {
        return std::nullopt;
    }
}

}  // namespace

TEST_CASE("a stream whose newest segment had no record yet can be read after a restore") {
    if (!has_streams()) {
        WARN("this RabbitMQ has no streams");
        return;
    }
    Broker broker;
    {
        AmqpClient client(broker.amqp_port());
        client.declare_queue(stream, {.arguments = arguments});
        for (std::size_t n = 0; n < published; ++n) {
            client.publish("", stream, body);
        }
    }
    broker.stop();
    REQUIRE(segments(broker.data_directory()).size() > 2);

    const TempDir files;
    const bool repaired = GENERATE(false, true);
    const tools::Image image = tools::copy_image(broker, files / "image");
    const fs::path newest = segments(image.data_directory()).back();
    // Each segment but the first begins with a chunk that is no message: what consumers stored.
    const std::size_t before = published - (chunks_in(newest) - 1);
    take_back_last_record(newest);
    if (repaired) {
        CHECK(hot_backup::repair_stream(newest.parent_path()));
    }
    const Broker booted({.data = image.base, .node = image.node});
    integration::wait_for_streams(booted);
    const auto read = read_all(booted);
    if (repaired) {
        REQUIRE(read);
        CHECK(*read == before);
    } else {
        // Or the repair is needed no more.
        CHECK_FALSE(read);
    }
}

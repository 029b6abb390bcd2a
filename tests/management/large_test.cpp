// A backup with very many queues costs the broker no more than the page that is looked at.
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "tests/definitions/snapshot_builder.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <iostream>
#include <thread>

namespace {

using namespace hot_backup;
using namespace management_tests;

constexpr int queues = 50'000;

// Made by hand: what the broker does when it is asked for a page does not depend on who made it.
std::string make_large_backup(const std::filesystem::path& directory) {
    const auto repository = Repository::open_or_create(posix_file_system(), directory);
    const Lock lock(posix_file_system(), directory, "create");
    BackupWriter writer(repository, lock);
    std::vector<snapshot_builder::Term> records{
        snapshot_builder::in_table("rabbit_vhost", snapshot_builder::vhost("/"))};
    std::string statistics;
    for (int n = 0; n < queues; ++n) {
        const auto name = "a queue with a name as long as they are " + std::to_string(n);
        records.push_back(snapshot_builder::in_table(
            "rabbit_durable_queue", snapshot_builder::queue("/", name, erlang::list({}))));
        QueueStatistics queue;
        queue.vhost = "/";
        queue.name = name;
        queue.ready = static_cast<std::uint64_t>(n);
        queue.unacknowledged = 0;
        queue.bytes = 100;
        statistics += to_line(queue);
    }
    const auto add = [&](std::string_view path, const char* kind, std::string_view content) {
        auto file = writer.add_file(std::string(path), kind);
        file.append(content);
        file.close();
    };
    add(snapshot_path, "metadata", snapshot_builder::chunk(records));
    add(statistics_path, "statistics", statistics);
    for (int n = 0; n < 1000; ++n) {
        writer.add_entry({"data/" + std::to_string(n), "directory", 0, {}, {}, {}});
    }
    Summary summary;
    summary.node = "rabbit@large";
    summary.rabbitmq_version = "3.10.8";
    writer.publish(summary);
    return writer.id();
}

// The most memory that the broker has while something is done, less what it has before, in bytes.
std::int64_t peak_of(const harness::Broker& broker, const std::function<void()>& something) {
    broker.eval(
        "[erlang:garbage_collect(P) || P <- processes()], "
        "Watch = fun(F, Most) -> receive {most, From} -> From ! {most, Most} "
        "after 1 -> F(F, max(Most, erlang:memory(total))) end end, "
        "Before = erlang:memory(total), "
        "register(hot_backup_memory, spawn(fun() -> Watch(Watch, Before) end)), "
        "persistent_term:put(hot_backup_memory, Before).");
    something();
    const auto difference = broker.eval(
        "hot_backup_memory ! {most, self()}, receive {most, Most} -> "
        "Most - persistent_term:get(hot_backup_memory) end.");
    return difference.as<std::int64_t>() ? *difference.as<std::int64_t>() : 0;
}

TEST_CASE("a page of fifty thousand queues costs the broker some megabytes") {
    auto& broker = managed_broker();
    const auto client = administrator(broker);
    const auto id = make_large_backup(broker.repository());
    const auto path = "/backups/" + id;
    // What is loaded, compiled or cached with the first request of a kind is no part of it.
    call(client, "GET", path, 200);
    call(client, "GET", path + "/queues?page=1", 200);

    constexpr std::int64_t some_megabytes = 8 << 20;
    // What is seen at all.
    CHECK(peak_of(broker, [&] {
              broker.eval(
                  "B = binary:copy(<<1>>, 64000000), receive after 50 -> byte_size(B) end.");
          }) > 2 * some_megabytes);
    const auto begin = std::chrono::steady_clock::now();
    Json description;
    const auto describing = peak_of(broker, [&] { description = call(client, "GET", path, 200); });
    CHECK(description["vhosts"][0]["queues"] == queues);
    CHECK(description["vhosts"][0]["messages"] == queues / 2 * (queues - 1LL));
    CHECK(describing < some_megabytes);

    Json page;
    const auto paging = peak_of(broker, [&] {
        page = call(client, "GET",
                    path + "/queues?page=3&page_size=100&sort=ready&sort_reverse=true", 200);
    });
    REQUIRE(page["items"].size() == 100);
    CHECK(page["total_count"] == queues);
    CHECK(page["items"][0]["ready"] == queues - 201);
    CHECK(paging < some_megabytes);

    // Ten browsers: one after the other, and all of them are answered.
    const auto crowd = peak_of(broker, [&] {
        std::vector<std::thread> browsers;
        std::vector<int> statuses(10);
        for (auto& status : statuses) {
            browsers.emplace_back([&] {
                status = administrator(broker).request("GET", api + path + "/queues?name=7").status;
            });
        }
        for (auto& browser : browsers) {
            browser.join();
        }
        CHECK(statuses == std::vector<int>(10, 200));
    });
    CHECK(crowd < 2 * some_megabytes);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::cout << "at most " << describing << " bytes for the description, " << paging
              << " for a page, " << crowd << " for ten at once; " << took.count() << " s\n";
}

}  // namespace

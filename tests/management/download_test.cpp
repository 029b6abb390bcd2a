// Downloads: what comes is a repository of its own, it costs the broker no memory, and nothing is
// left running when a client goes away.
#include "tests/harness/amqp_client.hpp"
#include "tests/harness/cli.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/harness/wait.hpp"
#include "tests/management/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <random>

namespace {

using namespace management_tests;
using namespace std::chrono_literals;

constexpr std::size_t large = std::size_t{300} << 20;

// A broker with a backup of some hundred megabytes.
struct Scene {
    harness::Broker& broker = managed_broker();
    harness::HttpClient client = administrator(broker);
    std::string id;

    Scene() {
        const auto list = call(client, "GET", "/backups", 200);
        if (!list.empty()) {
            id = list[0]["backup"];
            return;
        }
        {
            harness::AmqpClient publisher(broker.amqp_port());
            publisher.declare_queue("large");
            std::string body(std::size_t{1} << 20, '\0');
            std::mt19937 random(7);
            for (std::size_t sent = 0; sent < large; sent += body.size()) {
                std::generate(body.begin(), body.end(),
                              [&] { return static_cast<char>(random()); });
                publisher.publish("", "large", body);
            }
        }
        id = make_backup(client);
    }

    std::string path() const { return api + "/backups/" + id + "/download"; }

    // The programs that send an archive now.
    std::vector<pid_t> programs() const {
        auto all = harness::descendants(broker.pid());
        std::erase_if(all, [](pid_t pid) {
            const auto command = harness::read_file("/proc/" + std::to_string(pid) + "/cmdline");
            return command.find("--framed") == std::string::npos;
        });
        return all;
    }

    std::uint64_t memory() const {
        return broker.eval("erlang:garbage_collect(), erlang:memory(total).").as_unsigned().value();
    }
};

TEST_CASE("what is downloaded is a repository that holds the backup") {
    const Scene scene;
    const harness::TempDir directory;
    harness::HttpDownload download(scene.client, scene.path());
    CHECK(download.head().status == 200);
    CHECK(download.head().header("content-type") == "application/x-tar");
    CHECK(download.head().header("content-disposition") ==
          "attachment; filename=\"rabbitmq-hot-backup-" + scene.id + ".tar\"");
    const auto length = std::stoull(download.head().header("content-length"));
    CHECK(length > large);

    std::ofstream file(directory / "backup.tar", std::ios::binary);
    std::uint64_t received = 0;
    for (auto bytes = download.read(1 << 20); !bytes.empty(); bytes = download.read(1 << 20)) {
        file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        received += bytes.size();
    }
    file.close();
    CHECK(received == length);
    CHECK(scene.programs().empty());

    harness::run("tar", {"-xf", directory / "backup.tar", "-C", directory.path()});
    const auto verified = harness::run_cli({"verify", scene.id, "--json", "--repository",
                                            directory / ("rabbitmq-hot-backup-" + scene.id)});
    INFO(verified.output << verified.error_output);
    CHECK(verified.exit_code == 0);
}

// What the program has written so far.
std::uint64_t written_by(pid_t pid) {
    const auto counters = harness::read_file("/proc/" + std::to_string(pid) + "/io");
    const std::string name = "wchar: ";
    return std::stoull(counters.substr(counters.find(name) + name.size()));
}

TEST_CASE("a slow download costs the broker no memory, and nothing runs after it was cut off") {
    const Scene scene;
    const auto before = scene.memory();
    {
        harness::HttpDownload download(scene.client, scene.path());
        REQUIRE(download.head().status == 200);
        std::uint64_t received = 0;
        while (received < (1U << 20)) {
            received += download.read(64 << 10).size();
        }
        // The reader rests. Soon nothing moves: what is under way is in the buffers of the sockets,
        // and one frame or two are in the broker.
        REQUIRE(scene.programs().size() == 1);
        const auto program = scene.programs().front();
        std::uint64_t written = 0;
        auto since = std::chrono::steady_clock::now();
        harness::wait_for("the program to be held back", 30s, [&] {
            if (const auto now = written_by(program); now != written) {
                written = now;
                since = std::chrono::steady_clock::now();
            }
            return std::chrono::steady_clock::now() - since > 1s;
        });
        CHECK(written < received + (16U << 20));
        CHECK(scene.memory() < before + (16U << 20));
    }
    harness::wait_for("the end of the program", 30s, [&] { return scene.programs().empty(); });

    // The connection's end is no error of the broker's.
    CHECK(settled_log(scene.broker).find("crash") == std::string::npos);
}

TEST_CASE("a ticket is good for one download of one backup, for a minute") {
    const Scene scene;
    const harness::HttpClient browser(scene.broker.management_port(), std::nullopt);
    const auto ticket = [&] {
        const auto answer = call(scene.client, "POST", "/backups/" + scene.id + "/download", 201);
        CHECK(answer["expires_in"] == 60);
        return answer["location"].get<std::string>();
    };
    const auto status = [&](const std::string& path) {
        return harness::HttpDownload(browser, path).head().status;
    };

    const auto location = ticket();
    CHECK(browser.request("HEAD", location).status == 405);
    CHECK(status(location) == 200);
    CHECK(status(location) == 401);

    auto other = ticket();
    other.replace(other.find(scene.id), scene.id.size(), "latest");
    CHECK(status(other) == 401);
    CHECK(status(scene.path() + "?ticket=") == 401);

    // What a minute does, at once.
    const auto old = ticket();
    scene.broker.eval(
        "sys:replace_state(rabbit_hot_backup_tickets, fun(Tickets) -> "
        "maps:map(fun(_, {Backup, Actor, Expires}) -> {Backup, Actor, Expires - 60} end, Tickets) "
        "end).");
    CHECK(status(old) == 401);
}

TEST_CASE("damage ends a download before its announced length") {
    const Scene scene;
    const auto packs = scene.broker.repository() / "packs";
    std::filesystem::path pack;
    for (const auto& entry : std::filesystem::directory_iterator(packs)) {
        if (pack.empty() || entry.file_size() > std::filesystem::file_size(pack)) {
            pack = entry.path();
        }
    }
    const auto flip = [&] {
        std::fstream file(pack, std::ios::in | std::ios::out | std::ios::binary);
        const auto middle = static_cast<std::streamoff>(std::filesystem::file_size(pack) / 2);
        file.seekg(middle);
        const auto byte = static_cast<char>(file.get() ^ 1);
        file.seekp(middle);
        file.put(byte);
    };
    flip();
    harness::HttpDownload download(scene.client, scene.path());
    CHECK(download.head().status == 200);
    const auto length = std::stoull(download.head().header("content-length"));
    std::uint64_t received = 0;
    for (auto bytes = download.read(1 << 20); !bytes.empty(); bytes = download.read(1 << 20)) {
        received += bytes.size();
    }
    flip();
    CHECK(received > 0);
    CHECK(received < length);
    CHECK(settled_log(scene.broker).find("a download ended early") != std::string::npos);
    CHECK(scene.programs().empty());
}

}  // namespace

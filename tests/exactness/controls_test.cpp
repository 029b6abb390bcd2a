// The oracle on trial: an image that is exact for sure passes, one that is not is found out.
#include "tests/exactness/examination.hpp"
#include "tests/harness/wait.hpp"

#include <catch2/catch.hpp>

#include <csignal>
#include <iostream>

using namespace exactness;
using namespace std::chrono_literals;
using harness::Broker;
using harness::TempDir;

namespace {

// A broker holds back what it has to write about new quorum queues (Ra's tables of names) for some
// seconds: no copy of its files alone can be exact there, only a backup, which has it flushed.
const LoadOptions messages_only{.metadata = false};

// Bytes a second. A copy of what the load has in its queues then takes a second or two, as that of
// many more messages does on a good disk.
constexpr double slow_disk = 40e6;

// No thread of the process runs any more.
bool stands_still(pid_t process) {
    for (const auto& thread :
         std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/task")) {
        const std::string stat = harness::read_file(thread.path() / "stat");
        if (!stat.empty() && stat.at(stat.rfind(')') + 2) != 'T') {
            return false;
        }
    }
    return true;
}

// How many problems the Raft logs have with these bytes in the place of the file's own.
std::size_t problems_with(const tools::Image& image, const std::filesystem::path& file,
                          const std::string& bytes) {
    const std::string own = harness::read_file(file);
    harness::write_file(file, bytes);
    const tools::RaReport report = tools::read_ra_logs(image.data_directory());
    harness::write_file(file, own);
    std::size_t problems = report.problems.size();
    for (const tools::RaServer& server : report.servers) {
        problems += server.problems.size();
    }
    return problems;
}

// Of all files with this ending, the largest.
std::filesystem::path largest(const tools::Image& image, const std::string& ending) {
    std::filesystem::path found;
    std::uintmax_t size = 0;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(image.data_directory() / "quorum")) {
        if (entry.path().extension() == ending && entry.file_size() > size) {
            found = entry.path();
            size = entry.file_size();
        }
    }
    return found;
}

// Their formats are those of this broker: damage does not go unnoticed.
void check_damage_to_raft_logs_is_found(const tools::Image& image) {
    for (const char* ending : {".wal", ".segment"}) {
        const std::filesystem::path file = largest(image, ending);
        INFO(file);
        const std::string content = harness::read_file(file);
        // A queue that is about to be deleted may have some already.
        const std::size_t before = problems_with(image, file, content);
        // The newest write-ahead log may end anywhere.
        if (file.extension() != ".wal") {
            CHECK(problems_with(image, file, content.substr(0, content.size() - 1)) > before);
        }
        std::string flipped = content;
        // Behind it nothing is written yet.
        flipped.at(flipped.find_last_not_of('\0')) ^= 1;
        CHECK(problems_with(image, file, flipped) > before);
        CHECK(problems_with(image, file, "") > before);
    }
}

}  // namespace

TEST_CASE("the image of a broker that is stopped as a whole is exact") {
    harness::BrokerOptions options = small_files();
    options.hot_backup = false;
    const Broker broker(options);
    Load load(broker, messages_only);
    load.resume();
    load.run_for(5000);

    const TempDir files;
    kill(broker.pid(), SIGSTOP);
    harness::wait_for("the stop of all threads", 10s, [&] { return stands_still(broker.pid()); });
    const Time begin = now();
    const tools::Image image = tools::copy_image(broker, files / "image");
    const tools::Image another = tools::copy_image(broker, files / "another");
    const Time end = now();
    kill(broker.pid(), SIGCONT);
    load.run_for(500);
    load.pause();

    const Examination examination = examine(image, broker, load, {begin, end});
    std::cout << "stopped: " << examination.summary() << std::endl;
    INFO(examination.problems());
    CHECK(examination.exact());
    CHECK(examination.verdict.checks > 2000);
    check_damage_to_raft_logs_is_found(another);
}

TEST_CASE("a mere copy of the files of a running broker is found out") {
    harness::BrokerOptions options = small_files();
    options.hot_backup = false;
    const Broker broker(options);
    Load load(broker, messages_only);
    bool found_out = false;
    for (int attempt = 0; attempt < 10 && !found_out; ++attempt) {
        const TempDir files;
        load.resume();
        load.run_for(3000);
        const Time begin = now();
        const tools::Image image = tools::copy_image(broker, files / "image", slow_disk);
        const Time end = now();
        load.run_for(500);
        load.pause();
        const Examination examination = examine(image, broker, load, {begin, end});
        std::cout << "mere copy: " << examination.summary() << '\n'
                  << examination.problems() << std::endl;
        // That it does not boot would say little about the oracle.
        found_out = !examination.verdict.exact() || !examination.raft_problems.empty();
    }
    CHECK(found_out);
}

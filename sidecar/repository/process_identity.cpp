#include "sidecar/repository/process_identity.hpp"

#include <unistd.h>
#include <array>
#include <fstream>
#include <iterator>
#include <sstream>

namespace hot_backup {
namespace {

// Empty when there is no such file.
std::string read_whole(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string read_id(const std::string& path) {
    std::string id = read_whole(path);
    while (id.ends_with('\n')) {
        id.pop_back();
    }
    return id;
}

}  // namespace

ProcessIdentity this_process() {
    ProcessIdentity self;
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) == 0) {
        self.host = host.data();
    }
    self.pid = ::getpid();
    self.process_start = process_start_of(self.pid).value_or(0);
    self.boot_id = read_id("/proc/sys/kernel/random/boot_id");
    self.machine_id = read_id("/etc/machine-id");
    return self;
}

std::optional<std::uint64_t> process_start_of(std::int64_t pid) {
    const std::string stat = read_whole("/proc/" + std::to_string(pid) + "/stat");
    // The second field is the name in parentheses and may hold anything; the third is the state,
    // the 22nd the start.
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream rest(stat.substr(name_end + 1));
    std::string field;
    for (int number = 3; number <= 22 && rest >> field; ++number) {
        if (number == 3 && (field == "Z" || field == "X")) {
            return std::nullopt;
        }
        if (number == 22) {
            return std::stoull(field);
        }
    }
    return std::nullopt;
}

}  // namespace hot_backup

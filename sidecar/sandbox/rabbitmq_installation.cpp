#include "sidecar/sandbox/rabbitmq_installation.hpp"

#include "sidecar/rabbitmq_version.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <vector>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

constexpr const char* packaged_servers = "/usr/lib/rabbitmq/lib";
constexpr const char* install_hint =
    "Install the package rabbitmq-server in the version of the backup, name the server's directory "
    "(which holds sbin and plugins) with --rabbitmq-home, or run this where that version is: a "
    "restore --into reaches its node over the network.";

// By the broker's own application among the plugins: a directory, or an archive up to 3.8.
std::optional<std::string> version_of(const Path& home) {
    constexpr std::string_view before = "rabbit-";
    std::error_code error;
    for (fs::directory_iterator entry(home / "plugins", error), end; !error && entry != end;
         entry.increment(error)) {
        auto name = entry->path().filename().string();
        if (name.starts_with(before) && RabbitmqVersion::of(name.substr(before.size()))) {
            name.erase(0, before.size());
            return name.ends_with(".ez") ? name.substr(0, name.size() - 3) : name;
        }
    }
    return std::nullopt;
}

bool is_program(const Path& path) {
    std::error_code error;
    return fs::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

// Every program of this name in PATH, with links resolved.
std::vector<Path> in_path(const char* name) {
    std::vector<Path> found;
    const char* variable = std::getenv("PATH");
    std::string_view rest = variable != nullptr ? variable : "/usr/sbin:/usr/bin:/sbin:/bin";
    while (!rest.empty()) {
        const auto colon = std::min(rest.find(':'), rest.size());
        const auto program = Path(rest.substr(0, colon)) / name;
        rest.remove_prefix(std::min(colon + 1, rest.size()));
        if (is_program(program)) {
            found.push_back(fs::canonical(program));
        }
    }
    return found;
}

std::vector<Path> candidates() {
    std::vector<Path> homes;
    std::error_code error;
    for (fs::directory_iterator entry(packaged_servers, error), end; !error && entry != end;
         entry.increment(error)) {
        homes.push_back(entry->path());
    }
    for (const auto& program : in_path("rabbitmq-server")) {
        homes.push_back(program.parent_path().parent_path());
    }
    return homes;
}

Path find_home(const std::optional<Path>& home, std::string_view wanted) {
    if (home) {
        if (!version_of(*home) || !is_program(*home / "sbin/rabbitmq-server")) {
            throw Error(ErrorCode::failed, home->string() + " holds no RabbitMQ server",
                        "Name the directory that holds sbin/rabbitmq-server and plugins.");
        }
        return fs::canonical(*home);
    }
    std::optional<Path> newest;
    std::optional<RabbitmqVersion> newest_version;
    for (const auto& candidate : candidates()) {
        const auto version = version_of(candidate);
        if (!version || !is_program(candidate / "sbin/rabbitmq-server")) {
            continue;
        }
        if (*version == wanted) {
            return candidate;
        }
        if (const auto parsed = RabbitmqVersion::of(*version); parsed > newest_version) {
            newest = candidate;
            newest_version = parsed;
        }
    }
    if (!newest) {
        throw Error(ErrorCode::failed,
                    "no RabbitMQ server on this machine, neither in " +
                        std::string(packaged_servers) + " nor in PATH",
                    install_hint);
    }
    return *newest;
}

// Erlang's package may have it in PATH; it is always beside the VM's own programs.
Path find_epmd(const Path& erl) {
    const auto bin = erl.parent_path();
    if (is_program(bin / "epmd")) {
        return bin / "epmd";
    }
    std::error_code error;
    for (fs::directory_iterator entry(bin.parent_path(), error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().filename().string().starts_with("erts-") &&
            is_program(entry->path() / "bin/epmd")) {
            return entry->path() / "bin/epmd";
        }
    }
    const auto found = in_path("epmd");
    if (found.empty()) {
        throw Error(ErrorCode::failed, "no epmd, Erlang's port mapper, beside " + erl.string(),
                    "Install Erlang completely (on Debian the package erlang-base).");
    }
    return found.front();
}

}  // namespace

RabbitmqInstallation find_rabbitmq(const std::optional<Path>& home, std::string_view wanted) {
    RabbitmqInstallation found;
    found.home = find_home(home, wanted);
    found.version = version_of(found.home).value();
    const auto erl = in_path("erl");
    if (erl.empty()) {
        throw Error(ErrorCode::failed, "no Erlang on this machine: there is no erl in PATH",
                    "Add the directory of Erlang's programs to PATH.");
    }
    found.erl = erl.front();
    found.epmd = find_epmd(found.erl);
    return found;
}

void throw_unless_bootable(const RabbitmqInstallation& installed, std::string_view backup_version,
                           bool any_version) {
    if (installed.version == backup_version) {
        return;
    }
    const auto what = "RabbitMQ in " + installed.home.string() + " is version " +
                      installed.version + ", the backup is of " + std::string(backup_version);
    if (RabbitmqVersion::of(installed.version) < RabbitmqVersion::of(backup_version)) {
        throw Error(ErrorCode::failed, what + ": an earlier version cannot read it", install_hint);
    }
    if (!any_version) {
        throw Error(ErrorCode::failed, what,
                    std::string(install_hint) +
                        " With --any-version this one upgrades the restored data to its own "
                        "version.");
    }
}

}  // namespace hot_backup

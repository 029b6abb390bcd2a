#include "sidecar/sandbox/own_files.hpp"

#include "sidecar/engine/version.hpp"

#include <string>
#include <system_error>

namespace hot_backup {
namespace {

namespace fs = std::filesystem;

constexpr const char* hint = "Install program and plugin of the same release together.";

Path own_directory() {
    std::error_code error;
    return fs::canonical("/proc/self/exe", error).parent_path();
}

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorCode::failed,
                what + " is not where it belongs to the program in " + own_directory().string(),
                hint);
}

}  // namespace

Path own_plugins_directory() {
    const auto plugin = "rabbitmq_hot_backup-" + std::string(program_version);
    std::error_code error;
    for (const char* place : {"../rabbitmq/plugins", "../plugins"}) {
        const auto directory = own_directory() / place;
        if (fs::is_directory(directory / plugin, error)) {
            return fs::canonical(directory);
        }
    }
    fail("the plugin " + plugin);
}

Path own_preloaded_library() {
    auto library = own_directory() / "librabbitmq_hot_backup_sandbox.so";
    if (!fs::exists(library)) {
        fail("the library " + library.filename().string());
    }
    return library;
}

}  // namespace hot_backup

#include "tests/tools/image.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/restore/relocation.hpp"

#include <chrono>
#include <fstream>
#include <system_error>
#include <thread>

namespace tools {

namespace fs = std::filesystem;
using hot_backup::Error;
using hot_backup::ErrorCode;

namespace {

bool lies_below(const std::string& path, const std::string& directory) {
    return path.starts_with(directory) &&
           (path.size() == directory.size() || path[directory.size()] == '/');
}

class Copier {
public:
    explicit Copier(std::optional<double> bytes_per_second) : bytes_per_second_(bytes_per_second) {}

    void copy_tree(const fs::path& from, const fs::path& to) {
        fs::create_directories(to);
        std::error_code error;
        for (fs::directory_iterator entry(from, error), end; !error && entry != end;
             entry.increment(error)) {
            copy_entry(*entry, to / entry->path().filename());
        }
        check(error, "list", from);
    }

private:
    void copy_entry(const fs::directory_entry& entry, const fs::path& to) {
        std::error_code error;
        if (entry.is_symlink(error)) {
            fs::copy_symlink(entry.path(), to, error);
        } else if (entry.is_directory(error)) {
            copy_tree(entry.path(), to);
        } else if (fs::copy_file(entry.path(), to, error)) {
            keep_pace(fs::file_size(to));
        }
        check(error, "copy", entry.path());
    }

    // What is deleted while it is copied is not missed.
    static void check(const std::error_code& error, const char* action, const fs::path& path) {
        if (error && error != std::errc::no_such_file_or_directory) {
            throw Error(ErrorCode::failed, std::string("cannot ") + action + " " + path.string() +
                                               ": " + error.message());
        }
    }

    void keep_pace(std::uintmax_t bytes) {
        bytes_ += static_cast<double>(bytes);
        if (bytes_per_second_) {
            std::this_thread::sleep_until(
                started_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                               std::chrono::duration<double>(bytes_ / *bytes_per_second_)));
        }
    }

    const std::optional<double> bytes_per_second_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    double bytes_ = 0;
};

// Or a booted image would use the files of the original.
void relocate(const fs::path& image, const fs::path& original) {
    hot_backup::Relocation relocation;
    relocation.add(original, image);
    for (const auto& entry : fs::recursive_directory_iterator(image)) {
        if (entry.path().filename() == "config" && entry.is_regular_file()) {
            harness::write_file(entry.path(), relocation.moved_config(
                                                  harness::read_file(entry.path()), entry.path()));
        }
    }
}

}  // namespace

Image copy_image(const harness::Broker& broker, const fs::path& base,
                 std::optional<double> bytes_per_second) {
    const Image image{base, broker.node()};
    const std::string feature_flags = broker.node() + "-feature_flags";
    Copier(bytes_per_second).copy_tree(broker.data_directory(), image.data_directory());
    fs::copy_file(broker.data_base() / feature_flags, base / feature_flags);
    relocate(image.data_directory(), broker.data_directory());
    return image;
}

std::vector<std::string> open_below(pid_t process, const fs::path& directory) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
        std::error_code closed_meanwhile;
        const std::string target = fs::read_symlink(entry.path(), closed_meanwhile);
        if (lies_below(target, directory)) {
            found.push_back(target);
        }
    }
    return found;
}

}  // namespace tools

#include "tests/tools/image.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/repository/file_reader.hpp"

#include <chrono>
#include <fstream>
#include <system_error>
#include <thread>

namespace tools {

namespace fs = std::filesystem;
using hot_backup::Error;
using hot_backup::ErrorCode;
using hot_backup::FileEntry;

namespace {

bool lies_below(const std::string& path, const std::string& directory) {
    return path.starts_with(directory) &&
           (path.size() == directory.size() || path[directory.size()] == '/');
}

// Where a part of an Erlang term that begins with this character ends: a quoted atom, a string or
// any other character.
std::size_t end_of_part(const std::string& text, std::size_t begin) {
    const char quote = text[begin];
    if (quote != '\'' && quote != '"') {
        return begin + 1;
    }
    for (std::size_t n = begin + 1; n < text.size(); ++n) {
        if (text[n] == '\\') {
            ++n;
        } else if (text[n] == quote) {
            return n + 1;
        }
    }
    throw Error(ErrorCode::failed, "a Ra config ends within quotes");
}

// Erlang breaks long strings into several ("abc" "def") that mean one: they are joined.
std::string with_paths_moved(const std::string& text, const std::string& from,
                             const std::string& to) {
    std::string moved;
    for (std::size_t n = 0; n < text.size();) {
        std::size_t end = end_of_part(text, n);
        if (text[n] != '"') {
            moved.append(text, n, end - n);
            n = end;
            continue;
        }
        std::string content = text.substr(n + 1, end - n - 2);
        std::size_t next = text.find_first_not_of(" \n", end);
        while (next != std::string::npos && text[next] == '"') {
            end = end_of_part(text, next);
            content.append(text, next + 1, end - next - 2);
            next = text.find_first_not_of(" \n", end);
        }
        if (lies_below(content, from)) {
            content.replace(0, from.size(), to);
        }
        moved += '"' + content + '"';
        n = end;
    }
    return moved;
}

void relocate_config(const fs::path& file, const std::string& from, const std::string& to) {
    const std::string moved = with_paths_moved(harness::read_file(file), from, to);
    if (moved.find(from) != std::string::npos) {
        throw Error(ErrorCode::failed, file.string() + " still names " + from);
    }
    harness::write_file(file, moved);
}

void relocate_link(const fs::path& link, const std::string& from, const std::string& to) {
    std::string target = fs::read_symlink(link);
    if (lies_below(target, from)) {
        target.replace(0, from.size(), to);
        fs::remove(link);
        fs::create_symlink(target, link);
    }
}

// Where a file of a backup belongs; the root "data" is the data directory itself.
fs::path place_of(const Image& image, const std::string& path) {
    if (lies_below(path, "data")) {
        return image.data_directory() / fs::path(path).lexically_relative("data");
    }
    if (path == "feature_flags") {
        return image.base / (image.node + "-feature_flags");
    }
    throw Error(ErrorCode::failed, "an image has no place for " + path);
}

void write_content(const hot_backup::Repository& repository, const FileEntry& entry,
                   const fs::path& place) {
    hot_backup::FileReader reader(repository, entry);
    std::ofstream file(place, std::ios::binary);
    while (const auto piece = reader.next()) {
        file.write(piece->data(), static_cast<std::streamsize>(piece->size()));
    }
    file.close();
    if (!file) {
        throw Error(ErrorCode::failed, "cannot write " + place.string());
    }
}

void extract(const hot_backup::Repository& repository, const FileEntry& entry,
             const fs::path& place) {
    fs::create_directories(place.parent_path());
    if (entry.kind == "symlink") {
        fs::create_symlink(entry.target, place);
        return;
    }
    if (entry.kind == "directory") {
        fs::create_directories(place);
    } else {
        write_content(repository, entry, place);
    }
    fs::permissions(place, static_cast<fs::perms>(entry.origin.value().mode));
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

}  // namespace

Image extract_image(const hot_backup::Repository& repository, const std::string& backup,
                    const fs::path& base) {
    hot_backup::ManifestReader manifest = repository.read_manifest(backup);
    const Image image{base, manifest.summary().node};
    fs::create_directories(image.data_directory());
    while (const auto entry = manifest.next_file()) {
        if (entry->kind == "data" || entry->kind == "directory" || entry->kind == "symlink") {
            extract(repository, *entry, place_of(image, entry->path));
        }
    }
    if (fs::is_empty(image.data_directory())) {
        throw Error(ErrorCode::failed, "backup " + backup + " holds no files of the node");
    }
    relocate(image, manifest.summary().data_dir);
    return image;
}

Image copy_image(const harness::Broker& broker, const fs::path& base,
                 std::optional<double> bytes_per_second) {
    const Image image{base, broker.node()};
    const std::string feature_flags = broker.node() + "-feature_flags";
    Copier(bytes_per_second).copy_tree(broker.data_directory(), image.data_directory());
    fs::copy_file(broker.data_base() / feature_flags, base / feature_flags);
    relocate(image, broker.data_directory());
    return image;
}

void relocate(const Image& image, const fs::path& original) {
    const std::string to = image.data_directory();
    for (const auto& entry : fs::recursive_directory_iterator(image.data_directory())) {
        if (entry.is_symlink()) {
            relocate_link(entry.path(), original, to);
        } else if (entry.path().filename() == "config" && entry.is_regular_file()) {
            relocate_config(entry.path(), original, to);
        }
    }
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

// A directory that lives as long as the object: where a test keeps its repositories, brokers and
// output.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace harness {

class TempDir {
public:
    // Makes a new private directory below the system's temporary directory.
    TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    // Removes it and all it holds, unless HOT_BACKUP_TEST_KEEP is set: then its path is printed
    // instead.
    ~TempDir();

    const std::filesystem::path& path() const noexcept { return path_; }
    std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

// The whole file, or an empty string when it cannot be opened.
std::string read_file(const std::filesystem::path& path);

// Makes or replaces a file. Throws Error when that fails.
void write_file(const std::filesystem::path& path, std::string_view content);

}  // namespace harness

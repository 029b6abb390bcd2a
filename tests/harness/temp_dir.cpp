#include "tests/harness/temp_dir.hpp"

#include "erlang_port/error.hpp"

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <system_error>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;

TempDir::TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "hot-backup-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
        throw Error(ErrorCode::failed, "cannot make a temporary directory at " + name);
    }
    path_ = name;
}

TempDir::~TempDir() {
    if (std::getenv("HOT_BACKUP_TEST_KEEP") != nullptr) {
        std::cerr << "kept " << path_.string() << '\n';
        return;
    }
    // A program that was just told to end may still add a file between the listing and the removal.
    for (int attempt = 0; attempt < 5; ++attempt) {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
        if (!error) {
            return;
        }
    }
    std::cerr << "cannot remove " << path_.string() << '\n';
}

std::string read_file(const std::filesystem::path& path) {
    const std::ifstream file(path, std::ios::binary);
    // A file below /proc may end in an error, when its process does: what came before it counts.
    std::ostringstream content;
    content << file.rdbuf();
    return content.str();
}

void write_file(const std::filesystem::path& path, std::string_view content) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file) {
        throw Error(ErrorCode::failed, "cannot write " + path.string());
    }
}

}  // namespace harness

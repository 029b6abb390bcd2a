// What a booted image has open tells whether it keeps to its own files.
#include "tests/tools/image.hpp"

#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

using harness::TempDir;
namespace fs = std::filesystem;

TEST_CASE("what a process has open below a directory is seen") {
    const TempDir files;
    fs::create_directory(files / "ours");
    harness::write_file(files / "ours/file", "");
    CHECK(tools::open_below(getpid(), files / "ours").empty());
    const int descriptor = open((files / "ours/file").c_str(), O_RDONLY | O_CLOEXEC);
    CHECK(tools::open_below(getpid(), files / "ours") ==
          std::vector{(files / "ours/file").string()});
    CHECK(tools::open_below(getpid(), files / "our").empty());
    close(descriptor);
}

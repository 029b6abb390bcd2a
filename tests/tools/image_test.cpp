// An image is taken out of a backup, and moved away from where the node had its files.
#include "tests/tools/image.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/repository/backup_writer.hpp"
#include "tests/harness/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

using namespace hot_backup;
using harness::read_file;
using harness::TempDir;
using harness::write_file;
namespace fs = std::filesystem;

namespace {

const std::string original = "/var/lib/rabbitmq/mnesia/rabbit@here";

FileEntry entry(const std::string& path, const std::string& kind, unsigned mode) {
    FileEntry entry;
    entry.path = path;
    entry.kind = kind;
    entry.origin = Origin{original, mode, now()};
    return entry;
}

Summary some_summary() {
    Summary summary;
    summary.program = "0.1.0";
    summary.instant = now();
    summary.node = "rabbit@here";
    summary.cluster = "rabbit@here";
    summary.rabbitmq_version = "3.10.8";
    summary.erlang_version = "25";
    summary.plugin_version = "0.1.0";
    summary.data_dir = original;
    summary.metadata.store = "mnesia";
    return summary;
}

tools::Image image_in(const TempDir& files) {
    return {files / "image", "rabbit@here"};
}

}  // namespace

TEST_CASE("an image has the files, directories and links of its backup") {
    const TempDir files;
    const auto repository = Repository::open_or_create(posix_file_system(), files / "repository");
    std::string backup;
    {
        const Lock lock(repository.file_system(), repository.directory(), "create");
        BackupWriter writer(repository, lock);
        FileEntry file = entry("data/directory/file", "data", 0640);
        file.extents = {writer.store("content "), writer.store("in two extents")};
        file.size = 22;
        FileEntry link = entry("data/link", "symlink", 0777);
        link.target = original + "/directory/file";
        FileEntry flags = entry("feature_flags", "data", 0644);
        flags.extents = {writer.store("[].")};
        flags.size = 3;
        for (const FileEntry& each :
             {entry("data/directory", "directory", 0750), file,
              entry("data/empty directory", "directory", 0700), link, flags}) {
            writer.add_entry(each);
        }
        auto metadata = writer.add_file("metadata/snapshot", "metadata");
        metadata.close();
        writer.publish(some_summary());
        backup = writer.id();
    }
    const tools::Image image = tools::extract_image(repository, backup, files / "image");
    CHECK(image.node == "rabbit@here");
    const fs::path data = image.data_directory();
    CHECK(read_file(data / "directory/file") == "content in two extents");
    CHECK(fs::status(data / "directory/file").permissions() == fs::perms{0640});
    CHECK(fs::status(data / "directory").permissions() == fs::perms{0750});
    CHECK(fs::is_empty(data / "empty directory"));
    CHECK(fs::read_symlink(data / "link") == data / "directory/file");
    CHECK(read_file(image.base / "rabbit@here-feature_flags") == "[].");
    CHECK_FALSE(fs::exists(data / "metadata"));
}

TEST_CASE("absolute paths in Ra's configuration move with the image") {
    const TempDir files;
    const tools::Image image = image_in(files);
    const fs::path server = image.data_directory() / "quorum/rabbit@here/UID";
    fs::create_directories(server);
    write_file(server / "config",
               "#{id => {'it\\'s \"quoted\"',rabbit@here},\n"
               "  data_dir =>\n      \"" +
                   original +
                   "/quo\"\n      \"rum/rabbit@here\",\n"
                   "  name => <<\"a\\\"b\">>, other => \"" +
                   original + "s/x\"}.");
    SECTION("strings in pieces, and not those of a neighbour") {
        // The neighbour's path begins with ours, which looks like one that was forgotten.
        CHECK_THROWS_WITH(tools::relocate(image, original), Catch::Contains("still names"));
    }
    SECTION("all of them") {
        std::string text = read_file(server / "config");
        text.replace(text.find(original + "s/x"), original.size(), "/elsewhere");
        write_file(server / "config", text);
        tools::relocate(image, original);
        CHECK(read_file(server / "config") ==
              "#{id => {'it\\'s \"quoted\"',rabbit@here},\n  data_dir =>\n      \"" +
                  image.data_directory().string() +
                  "/quorum/rabbit@here\",\n  name => <<\"a\\\"b\">>, other => \"/elsewheres/x\"}.");
    }
}

TEST_CASE("what a process has open below a directory is seen") {
    const TempDir files;
    fs::create_directory(files / "ours");
    write_file(files / "ours/file", "");
    CHECK(tools::open_below(getpid(), files / "ours").empty());
    const int descriptor = open((files / "ours/file").c_str(), O_RDONLY | O_CLOEXEC);
    CHECK(tools::open_below(getpid(), files / "ours") ==
          std::vector{(files / "ours/file").string()});
    CHECK(tools::open_below(getpid(), files / "our").empty());
    close(descriptor);
}

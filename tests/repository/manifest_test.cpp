// The strict reader of manifests: what the format allows, and nothing else.
#include "sidecar/repository/manifest.hpp"
#include "sidecar/json.hpp"
#include "tests/repository/memory_file_system.hpp"
#include "tests/repository/sample.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;
using namespace repository_test;

namespace {

const std::string id = "20261122T073241.512Z";
const std::string pack = id + ".0001";

// A manifest as JSON that tests change before it is sealed.
struct Lines {
    OrderedJson format = {
        {"format", "rabbitmq-hot-backup manifest"}, {"version", 1}, {"backup", id}};
    OrderedJson summary;
    std::vector<OrderedJson> files;

    Lines() {
        MemoryFileSystem disk;
        const auto file = disk.create("/m");
        Summary full = sample_summary();
        full.files = 2;
        full.bytes = full.stored_bytes = 30;
        full.packs = {{pack, 158}};
        ManifestWriter writer(*file, id, full);
        writer.write_file({"a",
                           "metadata",
                           30,
                           Origin{"/etc/a", 0600, sample_time()},
                           {{pack, 128, 10, checksum("x"), {}}, {pack, 138, 20, {}, {}}},
                           {}});
        writer.write_file({"b", "metadata", 0, {}, {}, {}});
        writer.finish();
        SealedTextReader reader(disk, "/m");
        reader.next_line();
        summary = OrderedJson::parse(*reader.next_line());
        while (const auto line = reader.next_line()) {
            files.push_back(OrderedJson::parse(*line));
        }
    }

    OrderedJson& extent() { return files[0]["extents"][0]; }
    OrderedJson& of_summary(const char* key) { return summary["summary"][key]; }
};

// Seals the lines and reads all of them. Returns the files.
std::vector<FileEntry> read(const Lines& lines) {
    std::string text = to_line(lines.format) + '\n' + to_line(lines.summary) + '\n';
    for (const OrderedJson& file : lines.files) {
        text += to_line(file) + '\n';
    }
    MemoryFileSystem disk;
    disk.put("/m", text + "{\"xxh3_128\":\"" + checksum(text).hex() + "\"}\n");
    ManifestReader reader(disk, "/m", id);
    std::vector<FileEntry> files;
    while (auto entry = reader.next_file()) {
        files.push_back(std::move(*entry));
    }
    return files;
}

void check_damaged(const std::string& what, const std::function<void(Lines&)>& change) {
    CAPTURE(what);
    Lines lines;
    change(lines);
    const Error error = error_of([&] { read(lines); });
    CHECK(error.code() == ErrorCode::damaged);
    CHECK(has(error.what(), "/m is damaged: "));
    CHECK(has(error.what(), what));
}

}  // namespace

TEST_CASE("the manifest that the other tests change is good") {
    const auto files = read(Lines());
    REQUIRE(files.size() == 2);
    CHECK(files[0].origin == Origin{"/etc/a", 0600, sample_time()});
    CHECK(files[0].extents[1].offset == 138);
    CHECK(files[1].extents.empty());
}

TEST_CASE("keys that are not known are ignored") {
    Lines lines;
    lines.format["new"] = 1;
    lines.of_summary("new") = {1, 2};
    lines.files[0]["new"] = nullptr;
    lines.extent()["new"] = "x";
    CHECK(read(lines).size() == 2);
}

TEST_CASE("every key must be there and have its type") {
    const Lines good;
    for (const auto& [key, value] : good.summary["summary"].items()) {
        check_damaged('"' + key + '"', [&](Lines& l) { l.summary["summary"].erase(key); });
        check_damaged('"' + key + '"',
                      [&](Lines& l) { l.summary["summary"][key] = OrderedJson(true); });
    }
    for (const auto& [key, value] : good.summary["summary"]["metadata"].items()) {
        check_damaged('"' + key + '"', [&](Lines& l) { l.of_summary("metadata").erase(key); });
    }
    for (const auto& [key, value] : good.summary["summary"]["counts"].items()) {
        check_damaged('"' + key + '"', [&](Lines& l) { l.of_summary("counts").erase(key); });
    }
    for (const auto& [key, value] : good.files[0].items()) {
        if (key != "origin") {
            check_damaged('"' + key + '"', [&](Lines& l) { l.files[0].erase(key); });
        }
        check_damaged('"' + key + '"', [&](Lines& l) { l.files[0][key] = OrderedJson(true); });
    }
    for (const auto& [key, value] : good.files[0]["extents"][0].items()) {
        check_damaged('"' + key + '"', [&](Lines& l) { l.extent().erase(key); });
        check_damaged('"' + key + '"', [&](Lines& l) { l.extent()[key] = OrderedJson(true); });
    }
}

TEST_CASE("paths stay within the backup") {
    for (const char* path : {"", "/a", "../a", "a/../../b", "a/./b", "a//b", "a/"}) {
        check_damaged("is not a path within a backup",
                      [&](Lines& l) { l.files[0]["file"] = path; });
    }
}

TEST_CASE("files are in order, each once") {
    check_damaged("\"b\" is out of order", [](Lines& l) { l.files[0]["file"] = "b"; });
    check_damaged("\"b\" is out of order", [](Lines& l) { l.files[0]["file"] = "c"; });
}

TEST_CASE("extents are within their bounds") {
    const auto extent = [](const char* what, const char* key, const OrderedJson& value) {
        check_damaged(what, [&](Lines& l) { l.extent()[key] = value; });
    };
    extent("is empty", "size", 0);
    extent("\"size\" is too large", "size", max_extent_size + 1);
    extent("\"size\" is not a whole number", "size", -1);
    extent("\"size\" is not a whole number", "size", 1.5);
    extent("do not add up", "size", 11);
    extent("inside the header", "offset", 127);
    extent("\"offset\" is too large", "offset", INT64_MAX);
    extent("\"offset\" is too large", "offset", UINT64_MAX);
    extent("is not a digest", "xxh3_128", "00");
    extent("is not the name of a pack", "pack", "../../etc/passwd");
    extent("is newer than the backup", "pack", "20261122T073241.513Z.0001");
    check_damaged("\"stored\"", [](Lines& l) { l.extent()["codec"] = "zstd"; });
}

TEST_CASE("directories and symbolic links have no content, and only links a target") {
    const auto entry = [](const char* what, const char* kind, const OrderedJson& target) {
        check_damaged(what, [&](Lines& l) {
            l.files[1]["kind"] = kind;
            if (!target.is_null()) {
                l.files[1]["target"] = target;
            }
        });
    };
    entry("the symbolic link \"b\" has no target", "symlink", nullptr);
    entry("the symbolic link \"b\" has no target", "symlink", "");
    entry("\"target\" is not a string", "symlink", 1);
    entry("\"b\" has a target but is no symbolic link", "directory", "/x");
    entry("\"b\" has a target but is no symbolic link", "data", "/x");
    for (const std::string empty : {"directory", "symlink"}) {
        check_damaged("\"a\" has content but is a " + empty, [&](Lines& l) {
            l.files[0]["kind"] = empty;
            if (empty == "symlink") {
                l.files[0]["target"] = "/x";
            }
        });
        check_damaged("do not add up to its size", [&](Lines& l) {
            l.files[1]["kind"] = empty;
            l.files[1]["size"] = 1;
            if (empty == "symlink") {
                l.files[1]["target"] = "/x";
            }
        });
    }

    Lines lines;
    lines.files[0]["kind"] = "data";
    lines.files[1]["kind"] = "symlink";
    lines.files[1]["target"] = "../a b/\u00e4";
    CHECK(read(lines)[1].target == "../a b/\xc3\xa4");
    lines.files[1].erase("target");
    lines.files[1]["kind"] = "directory";
    CHECK(read(lines)[1].target.empty());
}

TEST_CASE("the log of the making is whole, or not there") {
    Lines good;
    REQUIRE_FALSE(good.summary["summary"].contains("log"));
    good.of_summary("log") = OrderedJson::array(
        {{{"when", "2026-11-22T07:32:41.512000Z"}, {"event", "pass"}, {"text", "größer"}}});
    CHECK(read(good).size() == 2);
    check_damaged("\"log\"", [](Lines& l) { l.of_summary("log") = 1; });
    check_damaged("\"when\"", [](Lines& l) {
        l.of_summary("log") = OrderedJson::array({{{"event", "pass"}, {"text", ""}}});
    });
}

TEST_CASE("how the files were cut is whole, or not there") {
    const OrderedJson cut = {{"acquisition_us", 900}, {"hold_us", 5200},    {"pause_us", 6100},
                             {"attempts", 1},         {"passes", 3},        {"files", 12},
                             {"memory_bytes", 4096},  {"tail_bytes", 70000}};
    Lines good;
    good.of_summary("cut") = cut;
    CHECK(read(good).size() == 2);
    for (const auto& [key, value] : cut.items()) {
        check_damaged('"' + key + '"', [&](Lines& l) {
            l.of_summary("cut") = cut;
            l.of_summary("cut").erase(key);
        });
        check_damaged('"' + key + '"', [&](Lines& l) {
            l.of_summary("cut") = cut;
            l.of_summary("cut")[key] = -1;
        });
    }
    check_damaged("\"cut\"", [](Lines& l) { l.of_summary("cut") = 1; });
}

TEST_CASE("how many messages there were is whole, or not there") {
    const OrderedJson messages = {{"queues", 2},
                                  {"ready", 1200},
                                  {"unacknowledged", 34},
                                  {"bytes", 56700000},
                                  {"counted", "2026-11-22T07:32:41.000000Z"}};
    Lines good;
    good.of_summary("messages") = messages;
    CHECK(read(good).size() == 2);
    for (const auto& [key, value] : messages.items()) {
        check_damaged('"' + key + '"', [&](Lines& l) {
            l.of_summary("messages") = messages;
            l.of_summary("messages").erase(key);
        });
    }
    check_damaged("\"messages\"", [](Lines& l) { l.of_summary("messages") = 1; });
}

TEST_CASE("what a file was on the node is whole, or not there") {
    for (const OrderedJson& mode : std::vector<OrderedJson>{"0800", "-1", "", "10000", 384}) {
        check_damaged("\"mode\"", [&](Lines& l) { l.files[0]["mode"] = mode; });
    }
    check_damaged("\"mtime\"", [](Lines& l) { l.files[0]["mtime"] = "today"; });
    Lines lines;
    lines.files[0].erase("origin");
    CHECK_FALSE(read(lines)[0].origin);
}

TEST_CASE("files add up to the summary") {
    for (const char* key : {"files", "bytes", "stored_bytes"}) {
        check_damaged("do not add up", [&](Lines& l) { l.of_summary(key) = 31; });
    }
    check_damaged("do not add up", [](Lines& l) { l.files.pop_back(); });
}

TEST_CASE("packs that a backup made bear its ID") {
    check_damaged("another backup made",
                  [](Lines& l) { l.of_summary("packs")[0]["name"] = "20261122T073241.511Z.0001"; });
    check_damaged("is not the name of a pack",
                  [](Lines& l) { l.of_summary("packs")[0]["name"] = id; });
}

TEST_CASE("a manifest of a newer version is refused with a hint to upgrade") {
    Lines lines;
    lines.format["version"] = 3;
    lines.summary = {{"something", "else"}};
    const Error error = error_of([&] { read(lines); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "/m has format version 3, and this program knows up to 2"));
    CHECK(has(error.hint(), "Upgrade rabbitmq-hot-backup"));
}

TEST_CASE("a sealed text that is no manifest is refused") {
    check_damaged("it is a \"rabbitmq-hot-backup repository\"",
                  [](Lines& l) { l.format["format"] = "rabbitmq-hot-backup repository"; });
    check_damaged("another backup", [](Lines& l) { l.format["backup"] = "x"; });
    check_damaged("\"summary\" is missing", [](Lines& l) { l.summary = l.files[0]; });
}

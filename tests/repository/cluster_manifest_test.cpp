// The strict reader of cluster manifests, and the manifests of parts.
#include "sidecar/repository/cluster_manifest.hpp"
#include "sidecar/json.hpp"
#include "sidecar/repository/json_fields.hpp"
#include "tests/repository/cluster_sample.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>
#include <sstream>

using namespace hot_backup;
using namespace repository_test;

namespace {

constexpr const char* cid = sample_cluster_id;

ClusterPart part(const std::string& node, const std::string& backup, bool metadata) {
    ClusterPart made;
    made.node = node;
    made.backup = backup;
    made.repository = "70a8cbf8-0b9f-4c2f-8a8f-0c7f1b1f0a11";
    made.path = "/var/backups/rabbitmq";
    made.host = "a";
    made.manifest_digest = checksum(node);
    made.manifest_bytes = 4711;
    made.metadata = metadata;
    made.cut = {900, 5200, 6100, 1, 3, 12, 4096, 70000};
    made.began_us = -3100;
    made.ended_us = 2100;
    made.files = 3;
    made.bytes = 100;
    made.stored_bytes = 90;
    return made;
}

ClusterManifest full() {
    auto manifest = sample_cluster({part("rabbit@b", "20261122T073241.514Z", false),
                                    part("rabbit@a", "20261122T073241.513Z", true)});
    manifest.summary.log = {{sample_time(), "begin", "rabbit@b was asked"}};
    manifest.missing = {{"rabbit@d", std::nullopt, "--allow-missing"},
                        {"rabbit@c", sample_time(), "--allow-missing"}};
    manifest.affected = {
        {"/", "q2", "quorum", "rabbit@a", {"rabbit@a", "rabbit@b", "rabbit@c"}, 2, "degraded"},
        {"/", "q1", "classic", "rabbit@c", {"rabbit@c"}, 0, "lost"}};
    add_up(manifest);
    return manifest;
}

// The lines of the manifest as JSON that tests change before it is sealed again.
struct Lines {
    std::vector<OrderedJson> lines;

    explicit Lines(const ClusterManifest& manifest = full()) {
        std::istringstream stream(to_text(manifest, cid));
        for (std::string line; std::getline(stream, line);) {
            lines.push_back(OrderedJson::parse(line));
        }
        lines.pop_back();
    }
    OrderedJson& summary() { return lines[1]["summary"]; }
    OrderedJson& part(std::size_t i) { return lines[2 + i]["part"]; }
    OrderedJson& missing(std::size_t i) { return lines[4 + i]["missing"]; }
    OrderedJson& affected(std::size_t i) { return lines[6 + i]["affected"]; }

    ClusterManifest read() const {
        std::string text;
        for (const auto& line : lines) {
            text += to_line(line) + '\n';
        }
        return parse_cluster_manifest(seal(std::move(text)), cid, "/m");
    }
};

void check_damaged(const std::string& what, const std::function<void(Lines&)>& change) {
    CAPTURE(what);
    Lines lines;
    change(lines);
    const Error error = error_of([&] { lines.read(); });
    CHECK(error.code() == ErrorCode::damaged);
    CHECK(has(error.what(), "/m is damaged: "));
    CHECK(has(error.what(), what));
}

}  // namespace

TEST_CASE("a cluster manifest is read as it was written, its lines in order") {
    const auto manifest = full();
    CHECK(manifest.parts[0].node == "rabbit@a");
    CHECK(manifest.missing[0].node == "rabbit@c");
    CHECK(manifest.affected[0].name == "q1");
    CHECK(manifest.summary.files == 6);
    CHECK(manifest.summary.bytes == 200);
    CHECK(manifest.summary.stored_bytes == 180);
    CHECK(Lines().read() == manifest);

    MemoryFileSystem disk;
    disk.put("/m", to_text(manifest, cid));
    CHECK(read_cluster_manifest(disk, "/m", cid) == manifest);
    const auto without = sample_cluster({part("rabbit@a", "20261122T073241.513Z", true)});
    CHECK(Lines(without).read() == without);
}

TEST_CASE("every key of a cluster manifest must be there and have its type") {
    const auto check_all = [](const OrderedJson& good,
                              const std::function<OrderedJson&(Lines&)>& object) {
        for (const auto& [key, value] : good.items()) {
            if (key == "messages" || key == "log") {
                continue;
            }
            check_damaged('"' + key + '"', [&](Lines& l) { object(l).erase(key); });
            check_damaged("", [&](Lines& l) {
                object(l)[key] = value.is_boolean() ? OrderedJson("x") : OrderedJson(true);
            });
        }
    };
    Lines good;
    check_all(good.summary(), [](Lines& l) -> OrderedJson& { return l.summary(); });
    check_all(good.summary()["metadata"],
              [](Lines& l) -> OrderedJson& { return l.summary()["metadata"]; });
    check_all(good.summary()["stop"], [](Lines& l) -> OrderedJson& { return l.summary()["stop"]; });
    check_all(good.part(1), [](Lines& l) -> OrderedJson& { return l.part(1); });
    check_all(good.part(0)["cut"], [](Lines& l) -> OrderedJson& { return l.part(0)["cut"]; });
    check_all(good.missing(1), [](Lines& l) -> OrderedJson& { return l.missing(1); });
    check_all(good.affected(1), [](Lines& l) -> OrderedJson& { return l.affected(1); });
}

TEST_CASE("a cluster manifest that makes no sense is damaged") {
    check_damaged("another cluster backup", [](Lines& l) { l.lines[0]["backup"] = "x"; });
    check_damaged("it is a \"other\"", [](Lines& l) { l.lines[0]["format"] = "other"; });
    check_damaged("no summary", [](Lines& l) { l.lines.resize(1); });
    check_damaged("no parts", [](Lines& l) { l.lines.resize(2); });
    check_damaged("out of order", [](Lines& l) { std::swap(l.lines[2], l.lines[3]); });
    check_damaged("out of order", [](Lines& l) { std::swap(l.lines[3], l.lines[4]); });
    check_damaged("out of order", [](Lines& l) { std::swap(l.lines[5], l.lines[6]); });
    check_damaged("comes twice", [](Lines& l) { l.missing(1)["node"] = "rabbit@c"; });
    check_damaged("comes twice", [](Lines& l) { l.affected(1)["name"] = "q1"; });
    check_damaged("\"affected\" is missing", [](Lines& l) { l.lines.push_back({{"new", 1}}); });
    check_damaged("the same part", [](Lines& l) { l.part(1)["backup"] = l.part(0)["backup"]; });
    check_damaged("not the ID of a part", [](Lines& l) { l.part(0)["backup"] = cid; });
    check_damaged("which part has the metadata", [](Lines& l) { l.part(1)["metadata"] = true; });
    check_damaged("which part has the metadata", [](Lines& l) { l.part(0)["metadata"] = false; });
    check_damaged("do not add up", [](Lines& l) { l.part(0)["bytes"] = 99; });
    check_damaged("no node is missing",
                  [](Lines& l) { l.lines.erase(l.lines.begin() + 4, l.lines.begin() + 6); });
    check_damaged("is missing and has a part", [](Lines& l) { l.missing(0)["node"] = "rabbit@b"; });
    check_damaged("before it stood still", [](Lines& l) { l.part(0)["cut"]["began_us"] = 2101; });
    check_damaged("has no meaning", [](Lines& l) { l.summary()["stop"]["proof"] = "faith"; });
    check_damaged("has no meaning", [](Lines& l) { l.affected(0)["effect"] = "none"; });
    check_damaged("\"present\" is too large", [](Lines& l) { l.affected(1)["present"] = 4; });
}

TEST_CASE("a newer cluster manifest is refused, keys that are not known are ignored") {
    Lines lines;
    lines.lines[0]["new"] = 1;
    lines.summary()["new"] = 1;
    lines.part(0)["new"] = 1;
    CHECK(lines.read() == full());
    lines.lines[0]["version"] = 2;
    const Error error = error_of([&] { lines.read(); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.hint(), "Upgrade"));
}

TEST_CASE("each changed byte and each lost end of a cluster manifest is found") {
    const auto good = to_text(full(), cid);
    for (std::size_t i = 0; i < good.size(); i += 7) {
        auto bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 1);
        CHECK_THROWS_AS(parse_cluster_manifest(bad, cid, "/m"), Error);
        CHECK_THROWS_AS(parse_cluster_manifest(good.substr(0, i), cid, "/m"), Error);
    }
}

TEST_CASE("what could not be read is not written") {
    auto manifest = full();
    manifest.summary.metadata_node = "rabbit@elsewhere";
    const Error error = error_of([&] { to_text(manifest, cid); });
    CHECK(error.code() == ErrorCode::failed);
    CHECK(has(error.what(), "is not published"));
}

TEST_CASE(
    "the manifest of a part has version 2, which older programs refuse, and reads as written") {
    MemoryFileSystem disk;
    const auto read = [&] { return ManifestReader(disk, "/m", "20261122T073241.513Z").summary(); };
    for (const bool metadata : {true, false}) {
        auto summary = sample_part_summary("rabbit@a", metadata);
        summary.kind = part_kind;
        disk.remove("/m");
        const auto file = disk.create("/m");
        ManifestWriter writer(*file, "20261122T073241.513Z", summary);
        const Digest digest = writer.finish();
        CHECK(disk.content("/m").ends_with(seal_line(digest)));
        CHECK(disk.content("/m").starts_with(
            R"({"format":"rabbitmq-hot-backup manifest","version":2,)"
            R"("backup":"20261122T073241.513Z","cluster_backup":"20261122T073241.512Z"})"));
        CHECK(read() == summary);
        CHECK(parse_summary(summary_text(summary), "20261122T073241.513Z") == summary);
        const auto text = summary_text(summary);
        CHECK(has(text, "\"counts\"") == metadata);
        CHECK(has(text, "\"metadata\":{") == metadata);
    }
}

TEST_CASE("a manifest whose lines disagree about the part is damaged") {
    auto summary = sample_part_summary("rabbit@a", true);
    summary.kind = part_kind;
    const std::string part = summary_text(summary);
    summary.part.reset();
    summary.kind = "full";
    const std::string whole = summary_text(summary);
    const auto read = [](const std::string& head, const std::string& summary_line) {
        MemoryFileSystem disk;
        disk.put("/m", seal(R"({"format":"rabbitmq-hot-backup manifest",)" + head +
                            R"(,"backup":"20261122T073241.513Z"})"
                            "\n{\"summary\":" +
                            summary_line + "}\n"));
        ManifestReader(disk, "/m", "20261122T073241.513Z");
    };
    const std::string right = R"("version":2,"cluster_backup":"20261122T073241.512Z")";
    CHECK_NOTHROW(read(right, part));
    CHECK_NOTHROW(read(R"("version":1)", whole));
    for (const auto& [head, line] : std::vector<std::pair<std::string, std::string>>{
             {R"("version":1)", part},
             {right, whole},
             {R"("version":2)", part},
             {R"("version":2,"cluster_backup":"20261122T073241.511Z")", part}}) {
        CHECK(error_of([&, &h = head, &l = line] { read(h, l); }).code() == ErrorCode::damaged);
    }
    auto later = part;
    later.replace(later.find("20261122T073241.512Z"), 20, "20261122T073241.513Z");
    CHECK(error_of([&] {
              read(R"("version":2,"cluster_backup":"20261122T073241.513Z")", later);
          }).code() == ErrorCode::damaged);
}

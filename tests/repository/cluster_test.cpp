// Cluster backups in a repository: published, listed, in doubt, deleted.
#include "sidecar/repository/archive.hpp"
#include "sidecar/repository/marks.hpp"
#include "tests/repository/cluster_sample.hpp"
#include "tests/repository/faulty_file_system.hpp"
#include "tests/repository/memory_file_system.hpp"

#include <catch2/catch.hpp>
#include <cerrno>

using namespace hot_backup;
using namespace repository_test;

namespace {

const std::string cid = sample_cluster_id;
const Timestamp later = sample_time() + std::chrono::hours{1};

std::vector<std::string> ids_of(const std::vector<ClusterPart>& parts) {
    std::vector<std::string> ids;
    for (const auto& part : parts) {
        ids.push_back(part.backup);
    }
    return ids;
}

struct Place {
    MemoryFileSystem disk;
    Repository repository = Repository::open_or_create(disk, "/r");

    Repository::Swept sweep() {
        const Lock lock(disk, "/r", "create");
        return repository.sweep(lock);
    }
    template <class Action>
    auto locked(Action&& action) {
        const Lock lock(disk, "/r", "delete");
        return action(lock);
    }
};

}  // namespace

TEST_CASE("a cluster backup is one backup, and its parts are none") {
    Place place;
    const auto& repository = place.repository;
    const auto before = write_sample(repository, sample_time() - std::chrono::hours{1});
    const auto parts = write_cluster(repository);
    const auto after = write_sample(repository, later);

    CHECK(repository.list() == std::vector{before, cid, after});
    CHECK(repository.clusters() == std::vector{cid});
    CHECK(repository.parts_here(cid) == ids_of(parts));
    CHECK(repository.in_doubt().empty());
    CHECK(repository.has_backup(cid));
    CHECK(repository.cluster_of(parts[1].backup) == cid);
    CHECK_FALSE(repository.cluster_of(after));
    CHECK_FALSE(repository.cluster_of(cid));
    CHECK(repository.read_cluster(cid) == sample_cluster(parts));
    CHECK(repository.resolve("20261122T0732") == cid);
    CHECK(repository.resolve("latest") == after);
    CHECK(repository.id().size() == 36);
    CHECK(place.disk.content(repository.cluster_path(cid)) == to_text(sample_cluster(parts), cid));
}

TEST_CASE("a part is read by its own ID as any backup") {
    Place place;
    const auto& repository = place.repository;
    const auto parts = write_cluster(repository);
    CHECK(repository.resolve(parts[1].backup) == parts[1].backup);
    CHECK(read_backup(repository, parts[0].backup) == sample_files());
    CHECK(read_backup(repository, parts[1].backup).size() == sample_files().size() - 1);
    CHECK(verify_backup(repository, parts[1].backup).whole());
    const auto part = repository.read_manifest(parts[1].backup).summary().part;
    REQUIRE(part);
    CHECK(*part == PartSummary{cid, "rabbit@b", false});
    const Error whole = error_of([&] { repository.read_manifest(cid); });
    CHECK(whole.code() == ErrorCode::usage);
    CHECK(has(whole.what(), cid));
    CHECK(error_of([&] { repository.read_cluster(parts[1].backup); }).code() ==
          ErrorCode::not_found);
}

TEST_CASE("a part without its cluster manifest is in doubt: neither listed nor swept") {
    Place place;
    const auto& repository = place.repository;
    const auto part = write_part(repository, "rabbit@a", true);
    CHECK(part.backup > cid);
    CHECK(repository.list().empty());
    CHECK(repository.in_doubt() == std::vector<PartHere>{{part.backup, cid}});
    CHECK(error_of([&] { repository.resolve("latest"); }).code() == ErrorCode::not_found);
    CHECK(error_of([&] { repository.resolve(cid); }).code() == ErrorCode::not_found);
    CHECK(place.sweep().packs == 0);
    // Also what the next writer sweeps, and whose ID is above it.
    CHECK(write_sample(repository) > part.backup);
    CHECK(verify_backup(repository, part.backup).whole());

    SECTION("published later, it is a backup") {
        publish_sample(repository, {part});
        CHECK(repository.list().front() == cid);
        CHECK(repository.in_doubt().empty());
    }
    SECTION("it goes when the cluster backup is known to have failed") {
        CHECK(place.locked([&](const Lock& lock) { return repository.discard_doubtful(lock, cid); })
                  .packs > 0);
        CHECK_FALSE(repository.has_backup(part.backup));
        CHECK(repository.in_doubt().empty());
        CHECK(repository.list().size() == 1);
    }
    SECTION("it is deleted by the ID of the cluster backup, or by its own") {
        for (const std::string& id : {cid, part.backup}) {
            if (!repository.has_backup(part.backup)) {
                write_part(repository, "rabbit@a", true);
            }
            const auto doubtful = repository.in_doubt();
            REQUIRE(doubtful.size() == 1);
            const auto& name = id == cid ? cid : doubtful[0].backup;
            CHECK(place.locked([&](const Lock& lock) { return repository.remove(lock, name); })
                      .packs > 0);
            CHECK(repository.in_doubt().empty());
        }
        CHECK(repository.list().size() == 1);
    }
}

TEST_CASE("a published part can be withdrawn until the cluster manifest is there") {
    Place place;
    const auto& repository = place.repository;
    const Lock lock(place.disk, "/r", "create");
    auto options = sample_options();
    options.cluster_backup = cid;
    BackupWriter writer(repository, lock, sample_time(), options);
    auto file = writer.add_file("a", "data");
    file.append("content");
    file.close();
    CHECK_THROWS_AS(writer.withdraw(), Error);
    writer.publish(sample_part_summary("rabbit@a", true));
    REQUIRE(repository.in_doubt().size() == 1);

    SECTION("before") {
        writer.withdraw();
        CHECK(repository.in_doubt().empty());
        CHECK(place.disk.list(repository.packs()).empty());
        CHECK_THROWS_AS(writer.withdraw(), Error);
    }
    SECTION("not after") {
        ClusterPart part =
            sample_cluster({write_part(repository, "rabbit@b", true, cid, &lock)}).parts.front();
        repository.publish_cluster(lock, cid, to_text(sample_cluster({part}), cid));
        const Error error = error_of([&] { writer.withdraw(); });
        CHECK(has(error.what(), "is published"));
        CHECK(repository.parts_here(cid).size() == 2);
    }
}

TEST_CASE("a part names the cluster backup that it was begun for, a backup of its own names none") {
    Place place;
    const Lock lock(place.disk, "/r", "create");
    for (const std::string& begun_for : {std::string(), cid}) {
        auto options = sample_options();
        options.cluster_backup = begun_for;
        BackupWriter writer(place.repository, lock, sample_time(), options);
        const auto wrong =
            begun_for.empty() ? sample_part_summary("rabbit@a", true) : sample_summary();
        CHECK(has(error_of([&] { writer.publish(wrong); }).what(), "not of the cluster backup"));
    }
    CHECK(place.disk.list(place.repository.manifests()).empty());
}

TEST_CASE("a cluster manifest is published once, and only with its parts") {
    Place place;
    const auto& repository = place.repository;
    const auto part = write_part(repository, "rabbit@a", true);
    auto there = part;
    there.node = "rabbit@b";
    there.repository = "another";
    there.metadata = false;
    const auto text = to_text(sample_cluster({part, there}), cid);
    const auto publish = [&](const std::string& bytes, const std::string& id = cid) {
        place.locked([&](const Lock& lock) { repository.publish_cluster(lock, id, bytes); });
    };

    SECTION("the same bytes may be written again") {
        publish(text);
        publish(text);
        CHECK(repository.list() == std::vector{cid});
        const Error other = error_of([&] { publish(to_text(sample_cluster({part}), cid)); });
        CHECK(has(other.what(), "another one with this ID"));
        CHECK(place.disk.content(repository.cluster_path(cid)) == text);
    }
    SECTION("a part that is not as named") {
        place.disk.content(repository.manifest_path(part.backup)).back() = ' ';
        CHECK(has(error_of([&] { publish(text); }).what(), "the part of rabbit@a"));
        place.disk.remove(repository.manifest_path(part.backup));
        CHECK(has(error_of([&] { publish(text); }).what(), "the part of rabbit@a"));
        CHECK(repository.list().empty());
    }
    SECTION("bytes that are no manifest of it") {
        CHECK(error_of([&] { publish(text.substr(1)); }).code() == ErrorCode::damaged);
        CHECK(error_of([&] { publish(text, "20261122T073241.511Z"); }).code() ==
              ErrorCode::damaged);
        CHECK(repository.list().empty());
    }
    SECTION("the ID of a backup of a node") {
        const auto taken = write_sample(repository, later);
        auto named = part;
        named.backup = "20271122T073241.512Z";
        named.repository = "another";
        CHECK(has(error_of([&] { publish(to_text(sample_cluster({named}), taken), taken); }).what(),
                  "a backup of a node has this ID"));
        CHECK(has(error_of([&] { write_part(repository, "rabbit@b", false, taken); }).what(),
                  "the ID of the cluster backup"));
    }
}

TEST_CASE("a deletion removes the cluster manifest first, then the parts, and nothing else") {
    Place place;
    const auto& repository = place.repository;
    const auto other = write_sample(repository, sample_time() - std::chrono::hours{1});
    const auto parts = write_cluster(repository);
    for (const std::string& part : ids_of(parts)) {
        const Error error =
            error_of([&] { place.locked([&](const Lock& l) { repository.remove(l, part); }); });
        CHECK(has(error.what(), "is a part of cluster backup " + cid));
        CHECK(has(error.hint(), "delete " + cid));
    }
    CHECK(has(error_of([&] {
                  place.locked([&](const Lock& l) { repository.discard_doubtful(l, cid); });
              }).what(),
              "is not discarded"));
    protect(repository, cid, {sample_time(), ""});
    CHECK(read_marks(repository, cid).protection);
    CHECK(place.sweep().packs == 0);
    CHECK(error_of([&] {
              place.locked([&](const Lock& l) { repository.remove(l, cid); });
          }).code() == ErrorCode::kept);
    CHECK(repository.list() == std::vector{other, cid});
    unprotect(repository, cid);

    SECTION("at once") {
        place.locked([&](const Lock& l) { repository.remove(l, cid); });
        CHECK(repository.parts_here(cid).empty());
        CHECK(place.disk.list(repository.cluster_manifests()).empty());
        CHECK(place.disk.list(repository.marks()).empty());
        CHECK(place.disk.list(repository.packs()).size() ==
              repository.read_manifest(other).summary().packs.size());
    }
    SECTION("cut off after the manifest, the rest is in doubt and can be deleted") {
        // The second removal is the first one of a part.
        FaultyFileSystem faulty(place.disk, {2, EIO, true, {Call::remove}});
        {
            const auto broken = Repository::open(faulty, "/r");
            const Lock lock(place.disk, "/r", "delete");
            CHECK_THROWS_AS(broken.remove(lock, cid), Error);
        }
        CHECK(repository.list() == std::vector{other});
        CHECK(repository.in_doubt().size() == 3);
        place.locked([&](const Lock& l) { repository.remove(l, cid); });
        CHECK(repository.in_doubt().empty());
    }
    SECTION("also one whose manifests cannot be read") {
        place.disk.content(repository.cluster_path(cid))[10] ^= 1;
        place.disk.content(repository.manifest_path(parts[1].backup))[200] ^= 1;
        CHECK(repository.list() == std::vector{other, cid});
        place.locked([&](const Lock& l) { repository.remove(l, cid); });
        CHECK(repository.parts_here(cid).empty());
    }
    CHECK(repository.list() == std::vector{other});
    CHECK(verify_backup(repository, other).whole());
}

TEST_CASE("a part whose first line is damaged is still a part") {
    Place place;
    const auto& repository = place.repository;
    const auto parts = write_cluster(repository);
    place.disk.content(repository.manifest_path(parts[1].backup))[0] = 'x';
    CHECK(repository.list() == std::vector{cid});
    CHECK(repository.parts_here(cid) == ids_of(parts));
    CHECK(repository.has_part(parts[0]));
    auto other = parts[0];
    other.manifest_digest = checksum("x");
    CHECK_FALSE(repository.has_part(other));
    other = parts[0];
    ++other.manifest_bytes;
    CHECK_FALSE(repository.has_part(other));
}

TEST_CASE("IDs rise above cluster backups and parts, and a manifest's rest is swept") {
    Place place;
    const auto& repository = place.repository;
    const auto parts = write_cluster(repository);
    CHECK(repository.last_id() == parts.back().backup);
    for (const std::string& id : ids_of(parts)) {
        place.disk.remove(repository.manifest_path(id));
    }
    place.sweep();
    CHECK(repository.last_id() == cid);
    CHECK(write_sample(repository) > cid);
    place.disk.put("/r/clusters/20301122T073241.512Z.cluster.tmp", "x");
    place.sweep();
    CHECK(place.disk.list("/r/clusters").size() == 1);
}

TEST_CASE("a power cut or a failure while a cluster manifest is published leaves all or nothing") {
    for (std::uint64_t at = 1;; ++at) {
        Place place;
        const auto part = write_part(place.repository, "rabbit@a", true);
        const auto text = to_text(sample_cluster({part}), cid);
        FaultyFileSystem faulty(place.disk, {at, EIO, true});
        bool done = false;
        {
            const Lock lock(place.disk, "/r", "create");
            try {
                const auto repository = Repository::open(faulty, "/r");
                repository.publish_cluster(lock, cid, text);
                done = true;
            } catch (const Error&) {
            }
        }
        place.disk.cut_power();
        const auto repository = Repository::open(place.disk, "/r");
        CAPTURE(at);
        if (done) {
            CHECK(repository.list() == std::vector{cid});
        }
        CHECK(repository.parts_here(cid).size() == 1);
        if (repository.has_cluster(cid)) {
            CHECK(repository.read_cluster(cid).parts.size() == 1);
        } else {
            CHECK(repository.in_doubt().size() == 1);
            // It can be published after all.
            publish_sample(repository, {part});
            CHECK(repository.list() == std::vector{cid});
        }
        if (!faulty.struck()) {
            CHECK(done);
            break;
        }
    }
}

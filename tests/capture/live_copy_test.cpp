// One kind of file at a time: what of it is read again, what within the cut, and what the image
// then is.
#include "tests/capture/live_copy_fixture.hpp"
#include "tests/capture/raft_entries.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/capture/watched_tree.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace capture_test;
using hot_backup::Cut;
using hot_backup::Pass;
using Outcome = hot_backup::Cut::Outcome;

namespace {

constexpr std::uint64_t block = 4096;
const std::string store = "msg_stores/vhosts/V/msg_store_persistent/";
const std::string queue = "msg_stores/vhosts/V/queues/Q/";
const std::string raft = "quorum/rabbit@a/";

// A Raft segment for `entries` entries.
std::string segment(std::uint8_t entries, const std::string& body) {
    std::string header{'R', 'A', 'S', 'G', 0, 2, 0, static_cast<char>(entries)};
    return header + std::string(entries * 32U, '\0') + body;
}

void check_cut(Copy& copy, std::uint64_t files, std::uint64_t memory, std::uint64_t tail) {
    const Cut cut = copy.cut();
    CHECK(cut.outcome == Outcome::captured);
    CHECK(cut.reason == "");
    CHECK(cut.files == files);
    CHECK(cut.memory_bytes == memory);
    CHECK(cut.tail_bytes == tail);
}

}  // namespace

TEST_CASE("an image has everything, as it is") {
    const Node node;
    node.write("LATEST.LOG", "log");
    node.write("empty", "");
    node.write(queue + "0.qi", bytes_of(3 * block + 1));
    node.write("a b/\xc3\xa4\"\\", "name");
    std::filesystem::create_directories(node.path("nothing/in/it"));
    std::filesystem::create_symlink("../LATEST.LOG", node.path("a b/link"));
    std::filesystem::create_symlink("/nowhere", node.path("dangling"));
    std::filesystem::permissions(node.path("LATEST.LOG"), std::filesystem::perms(04640));
    std::filesystem::permissions(node.path("nothing"), std::filesystem::perms(0710));
    const Image expected = node.image();
    REQUIRE(expected.size() >= 14);

    SECTION("from a pass") {
        Copy copy(node);
        const Pass pass = copy.pass();
        CHECK(pass.files == 4);
        CHECK(pass.bytes == 3 + 3 * block + 1 + 4);
        CHECK(pass.remainder.files == 0);
        check_cut(copy, 0, 0, 0);
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("from the cut alone") {
        Copy copy(node);
        check_cut(copy, 4, 3 + 3 * block + 1 + 4, 0);
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("with where it was on the node") {
        Copy copy(node);
        copy.cut();
        copy->finish([](const hot_backup::PassProgress&) {});
        for (const hot_backup::FileEntry& entry : copy->take_entries()) {
            REQUIRE(entry.origin);
            CHECK(entry.origin->path == node.outside().string() + "/" + entry.path);
            CHECK(entry.kind == (entry.path.ends_with("link") || entry.path.ends_with("dangling")
                                     ? "symlink"
                                 : std::filesystem::is_directory(entry.origin->path) ? "directory"
                                                                                     : "data"));
        }
    }
}

TEST_CASE("what has no place in an image is not in it") {
    const Node node;
    node.write("msg_stores/vhosts/V/recovery.dets", "x");
    node.write(store + "clean.dot", "x");
    node.write("rabbit@a.pid", "1");
    Copy copy(node);
    CHECK(copy.pass().files == 0);
    node.append("rabbit@a.pid", "2");
    check_cut(copy, 0, 0, 0);
    CHECK(copy.finish().size() == 5);  // directories
}

TEST_CASE("of a file that only grows, the tail is read") {
    const Node node;
    const std::string name =
        GENERATE("stream/S/0.segment", "stream/S/0.index", "quorum/rabbit@a/1.wal",
                 "msg_stores/vhosts/V/queues/Q/0.qs", "msg_stores/vhosts/V/queues/Q/0.idx");
    CAPTURE(name);
    node.write(name, bytes_of(2 * block + 100));
    Copy copy(node);
    CHECK(copy.pass().bytes == 2 * block + 100);
    CHECK(copy.pass().bytes == 0);
    node.append(name, bytes_of(50, 2));
    CHECK(copy.pass().bytes == 50);
    node.append(name, bytes_of(2 * block, 3));
    CHECK(copy.pass().bytes == 2 * block);
    node.append(name, bytes_of(70, 4));

    SECTION("in the cut not a byte of it") {
        check_cut(copy, 1, 0, 70);
        const Image expected = node.image();
        node.append(name, "after the cut");
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("also when it is deleted right after the cut") {
        check_cut(copy, 1, 0, 70);
        const Image expected = node.image();
        std::filesystem::remove_all(node.path(name).parent_path());
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("unless it is shorter afterwards: then it was no such file") {
        check_cut(copy, 1, 0, 70);
        std::filesystem::resize_file(node.path(name), block);
        CHECK_THROWS_WITH(copy.finish(), Catch::Contains(name) && Catch::Contains("shorter"));
    }
    SECTION("unless another file has its name") {
        node.replace(name, bytes_of(5 * block));
        CHECK(copy.pass().bytes == 5 * block);
        check_cut(copy, 0, 0, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("unless it was truncated") {
        std::filesystem::resize_file(node.path(name), 10);
        CHECK(copy.pass().bytes == 10);
        check_cut(copy, 0, 0, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("unless its last copied bytes are others now") {
        node.write(name, bytes_of(6 * block, 9));
        check_cut(copy, 1, 0, 6 * block);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
}

TEST_CASE("another file of the same name is not taken for the one before") {
    const Node node;
    const std::string name = "stream/S/0.segment";
    node.write(name, bytes_of(block) + bytes_of(2 * block, 2));
    hot_backup::CopyOptions options = Copy::small_blocks();
    options.use_inotify = false;  // so that nobody says that it was replaced
    Copy copy(node, options);
    copy.pass();
    // It ends in the same bytes, and goes on.
    node.replace(name, bytes_of(block, 3) + bytes_of(2 * block, 2) + "tail");
    check_cut(copy, 1, 0, 3 * block + 4);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("a write-ahead log that was allocated ahead ends behind its last entry") {
    const Node node;
    const std::string name = raft + "1.wal";
    const std::string begin = raft_log(raft_entry(bytes_of(block)));
    const std::string first = raft_entry(bytes_of(200, 2));
    const std::string second = raft_entry(bytes_of(300, 3));
    node.write(name, begin + std::string(3 * block, '\0'));
    Copy copy(node);
    CHECK(copy.pass().bytes == begin.size());

    // What comes later is a tail, which is read after the cut.
    node.overwrite(name, begin.size(), first);
    SECTION("so is the next one") {
        CHECK(copy.pass().bytes == first.size());
        CHECK(copy->remainder().tail_bytes == 0);
        node.overwrite(name, begin.size() + first.size(), second);
        CHECK(copy->remainder().tail_bytes == second.size());
        check_cut(copy, 1, 0, second.size());
        Image expected = node.image();
        expected["data/" + name].content = begin + first + second;
        node.overwrite(name, begin.size() + first.size() + second.size(), first);
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("one that is being written is left out") {
        node.overwrite(name, begin.size() + first.size(), second.substr(0, second.size() - 1));
        check_cut(copy, 1, 0, first.size());
        Image expected = node.image();
        expected["data/" + name].content = begin + first;
        node.overwrite(name, begin.size() + first.size(), second);
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("until it is full") {
        const std::string last = raft_entry(bytes_of(3 * block - first.size() - 44, 4));
        node.overwrite(name, begin.size() + first.size(), last);
        check_cut(copy, 1, 0, 3 * block);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("and one of the same name is another one") {
        const std::string other = raft_log(raft_entry(bytes_of(3 * block, 5)));
        node.replace(name, other + std::string(block, '\0'));
        check_cut(copy, 1, 0, other.size());
        Image expected = node.image();
        expected["data/" + name].content = other;
        CHECK(difference(expected, copy.finish()) == "");
    }
}

TEST_CASE("a file with the ending of a write-ahead log that is none is read whole") {
    const Node node;
    const std::string name = raft + "1.wal";
    node.write(name, bytes_of(100) + std::string(3 * block, '\0'));
    Copy copy(node);
    copy.pass();
    node.overwrite(name, 100, bytes_of(200, 2));
    check_cut(copy, 1, 100 + 3 * block, 0);
    const Image expected = node.image();
    node.overwrite(name, 300, "after the cut");
    CHECK(difference(expected, copy.finish()) == "");
}

TEST_CASE("a journal grows, and begins anew when it was truncated") {
    const Node node;
    const std::string name = queue + "journal.jif";
    node.write(name, bytes_of(3 * block));
    Copy copy(node);
    CHECK(copy.pass().bytes == 3 * block);
    node.append(name, bytes_of(100, 2));
    CHECK(copy.pass().bytes == 100);

    SECTION("its tail is read within the cut, for it may be gone after it") {
        node.append(name, bytes_of(50, 3));
        check_cut(copy, 1, 50, 0);
        const Image expected = node.image();
        node.write(name, "");
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("a shorter one is read whole") {
        node.write(name, bytes_of(block, 4));
        check_cut(copy, 1, block, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("and one that has grown meanwhile") {
        node.write(name, bytes_of(4 * block, 4));
        check_cut(copy, 1, 4 * block, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("even if it ends in the same bytes: the copy may be of both") {
        node.write(name, bytes_of(2 * block, 4) + bytes_of(3 * block).substr(2 * block) +
                             bytes_of(100, 2) + "more");
        check_cut(copy, 1, 3 * block + 104, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("an empty one has no beginning") {
        node.write(name, "");
        CHECK(copy.pass().bytes == 0);
        node.write(name, "begins");
        CHECK(copy.pass().bytes == 6);
        node.append(name, "and goes on");
        check_cut(copy, 1, 11, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
}

TEST_CASE("of a Raft segment, the index is read again, and the tail") {
    const Node node;
    const std::string name = raft + "UID/1.segment";
    const std::uint64_t index = 8 + 200 * 32;
    node.write(name, segment(200, bytes_of(2 * block)));
    Copy copy(node);
    CHECK(copy.pass().bytes == index + 2 * block);

    node.append(name, bytes_of(100, 2));
    node.overwrite(name, 8, bytes_of(32, 3));
    // The index has two blocks, the second of which is what it was.
    CHECK(copy.stored_by_pass() == block + 100);

    node.append(name, bytes_of(30, 4));
    node.overwrite(name, 40, bytes_of(32, 5));
    check_cut(copy, 1, index, 30);
    const Image expected = node.image();
    node.append(name, bytes_of(1000, 6));
    node.overwrite(name, 72, bytes_of(32, 7));
    CHECK(difference(expected, copy.finish()) == "");
}

TEST_CASE("a Raft segment may be shorter than its index, or none yet") {
    const Node node;
    const std::string name = raft + "UID/1.segment";
    node.write(name, "");
    Copy copy(node);
    copy.pass();
    node.write(name, segment(100, "").substr(0, 500));
    CHECK(copy.pass().bytes == 500);
    node.write(name, segment(100, "body"));
    check_cut(copy, 1, 8 + 100 * 32, 4);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("a file with the ending of a Raft segment that is none is read whole") {
    const Node node;
    const std::string name = raft + "UID/1.segment";
    node.write(name, bytes_of(3 * block));
    Copy copy(node);
    copy.pass();
    node.append(name, "x");
    check_cut(copy, 1, 3 * block + 1, 0);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("of the message store's files, the highest number only grows") {
    const Node node;
    node.write(store + "9.rdq", bytes_of(2 * block));
    node.write(store + "10.rdq", bytes_of(2 * block, 2));
    Copy copy(node);
    CHECK(copy.pass().bytes == 4 * block);

    SECTION("its tail is read, in the cut into memory") {
        node.append(store + "10.rdq", bytes_of(40, 3));
        CHECK(copy.pass().bytes == 40);
        node.append(store + "10.rdq", bytes_of(60, 4));
        check_cut(copy, 1, 60, 0);
        const Image expected = node.image();
        std::filesystem::resize_file(node.path(store + "10.rdq"), 1);
        CHECK(difference(expected, copy.finish()) == "");
    }
    SECTION("any other one is read whole") {
        node.append(store + "9.rdq", bytes_of(40, 3));
        CHECK(copy.pass().bytes == 2 * block + 40);
        node.overwrite(store + "9.rdq", 10, "moved here");
        check_cut(copy, 1, 2 * block + 40, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("whole, too, if it is the highest no more") {
        node.append(store + "10.rdq", bytes_of(40, 3));
        node.write(store + "11.rdq", "new");
        CHECK(copy.pass().bytes == 2 * block + 40 + 3);
        node.overwrite(store + "10.rdq", 10, "moved here");
        check_cut(copy, 1, 2 * block + 40, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("whole, too, if it was not the highest when it was copied") {
        node.append(store + "9.rdq", "x");
        std::filesystem::remove(node.path(store + "10.rdq"));
        CHECK(copy.pass().bytes == 2 * block + 1);
        node.append(store + "9.rdq", "x");
        check_cut(copy, 1, 1, 0);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
}

TEST_CASE("no cut is made while the message store combines files") {
    const Node node;
    node.write(store + "1.rdq", bytes_of(100));
    Copy copy(node);
    copy.pass();
    node.write(store + "1.rdt", bytes_of(10));
    node.overwrite(store + "1.rdq", 0, "x");
    const Cut cut = copy.cut();
    CHECK(cut.outcome == Outcome::combine_in_flight);
    CHECK_THAT(cut.reason, Catch::Contains("1.rdt"));
    CHECK(copy.pass().remainder.files == 0);
    CHECK(copy.cut().outcome == Outcome::combine_in_flight);
    std::filesystem::remove(node.path(store + "1.rdt"));
    CHECK_FALSE(copy->combine_in_flight());
    node.write(store + "2.rdt", "");
    CHECK(copy->combine_in_flight() == node.path(store + "2.rdt").string());
    std::filesystem::remove(node.path(store + "2.rdt"));
    check_cut(copy, 0, 0, 0);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("any other file is read whole, and stored where it differs") {
    const Node node;
    node.write("LATEST.LOG", bytes_of(5 * block + 10));
    Copy copy(node);
    CHECK(copy.stored_by_pass() == 5 * block + 10);
    node.overwrite("LATEST.LOG", 2 * block + 7, "changed");
    CHECK(copy.stored_by_pass() == block);
    node.append("LATEST.LOG", "appended");
    CHECK(copy.stored_by_pass() == 18);

    node.overwrite("LATEST.LOG", 0, "in the cut");
    check_cut(copy, 1, 5 * block + 18, 0);
    const Image expected = node.image();
    node.write("LATEST.LOG", "after the cut");
    CHECK(difference(expected, copy.finish()) == "");
}

TEST_CASE("the holes of a large file are not read, and are zeros") {
    const Node node;
    node.write("dense", bytes_of(300 * block));
    Copy copy(node);
    // What an earlier cut left in the memory is not taken for a hole.
    check_cut(copy, 1, 300 * block, 0);
    copy->forget_cut();
    std::filesystem::remove(node.path("dense"));
    node.write("sparse", "begin");
    std::filesystem::resize_file(node.path("sparse"), 300 * block);
    node.overwrite("sparse", 100 * block + 5, bytes_of(2 * block));
    check_cut(copy, 1, 300 * block, 0);
    CHECK(difference(node.image(), copy.finish()) == "");
}

TEST_CASE("a cut that is forgotten leaves nothing out of the next one") {
    const Node node;
    node.write("LATEST.LOG", "log");
    node.write("stream/S/0.segment", bytes_of(100));
    Copy copy(node);
    copy.pass();
    node.append("LATEST.LOG", "more");
    node.append("stream/S/0.segment", "more");
    node.write("new", "new");
    check_cut(copy, 3, 10, 4);
    node.append("stream/S/0.segment", "and more");
    std::filesystem::remove(node.path("new"));
    copy->forget_cut();

    SECTION("right away") {
        check_cut(copy, 2, 7, 12);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
    SECTION("after a pass") {
        CHECK(copy.pass().bytes == 7 + 12);
        node.append("stream/S/0.segment", "again");
        check_cut(copy, 1, 0, 5);
        CHECK(difference(node.image(), copy.finish()) == "");
    }
}

TEST_CASE("single files are read in each cut") {
    const Node node;
    harness::write_file(node.outside() / "flags", "old");
    std::filesystem::create_symlink(node.outside() / "flags", node.outside() / "link");
    MemoryStore blocks;
    hot_backup::LiveCopy copy(node.roots(),
                              {{"flags", node.outside() / "flags"},
                               {"none", node.outside() / "none"},
                               {"linked", node.outside() / "link"}},
                              blocks.store_block());
    CHECK(copy.pass([](const auto&) {}).remainder.memory_bytes == 6);
    harness::write_file(node.outside() / "flags", "newer");
    const Cut cut = copy.cut(hot_backup::LiveCopy::Clock::now() + std::chrono::seconds(60));
    CHECK(cut.files == 2);
    CHECK(cut.memory_bytes == 10);
    harness::write_file(node.outside() / "flags", "newest");
    copy.finish([](const auto&) {});
    const Image image = image_of(copy.take_entries(), reader_of(blocks));
    CHECK(image.size() == 3);
    CHECK(image.at("flags").content == "newer");
    CHECK(image.at("linked").content == "newer");
}

TEST_CASE("what a cut would take is known before it") {
    const Node node;
    node.write("LATEST.LOG", bytes_of(100));
    node.write("stream/S/0.segment", bytes_of(1000));
    node.write(raft + "UID/1.segment", segment(10, bytes_of(2000)));
    node.write(store + "1.rdq", bytes_of(300));
    Copy copy(node);
    const auto check = [&](std::uint64_t files, std::uint64_t memory, std::uint64_t tail) {
        const hot_backup::Remainder rest = copy->remainder();
        CHECK(rest.files == files);
        CHECK(rest.memory_bytes == memory);
        CHECK(rest.tail_bytes == tail);
    };
    // As long as nothing was copied, the index of a segment may be as long as the segment.
    check(4, 100 + 8 + 10 * 32 + 2000 + 300, 1000);
    copy.pass();
    check(0, 0, 0);
    node.append("stream/S/0.segment", "more");
    node.append(raft + "UID/1.segment", "more");
    node.append(store + "1.rdq", "more");
    check(3, 8 + 10 * 32 + 4, 8);
    check_cut(copy, 3, 8 + 10 * 32 + 4, 8);
    CHECK_THROWS_AS(copy->remainder(), hot_backup::Error);
    CHECK_THROWS_AS(copy->combine_in_flight(), hot_backup::Error);
}

TEST_CASE("a directory that takes the place of another one is not taken for it") {
    const Node node;
    node.write("a/1", "x");
    node.write("b/1", "x");
    hot_backup::WatchedTree tree(node.roots(), {});
    node.write("a/2", "x");
    tree.drain();
    std::filesystem::rename(node.path("a"), node.path("c"));
    std::filesystem::rename(node.path("b"), node.path("a"));
    tree.refresh_directories();
    const auto known = tree.roots().front()->directories.find("a");
    CHECK(known->second->status.same_file(*hot_backup::status_of(node.path("c"))));
}

TEST_CASE("files that come and go all the time are not kept in mind") {
    const Node node;
    for (int number = 0; number < 10; ++number) {
        node.write("kept/" + std::to_string(number), "x");
    }
    hot_backup::WatchedTree tree(node.roots(), {});
    const std::uint64_t until = tree.last_mark();
    std::vector<std::weak_ptr<hot_backup::NodeFile>> gone;
    for (int round = 0; round < 10; ++round) {
        for (int number = 0; number < 1000; ++number) {
            node.write("gone/" + std::to_string(number), "");
        }
        tree.drain();
        for (const auto& file : tree.dirty_files()) {
            if (file->directory->path.ends_with("/gone")) {
                gone.emplace_back(file);
            }
        }
        std::filesystem::remove_all(node.path("gone"));
        tree.drain();
    }
    CHECK(gone.size() == 10'000);
    CHECK(std::count_if(gone.begin(), gone.end(), [](const auto& file) { return file.expired(); }) >
          5000);

    // What is marked meanwhile is not for the pass that has begun, whatever was dropped.
    node.write("new", "x");
    tree.drain();
    std::size_t taken = 0;
    while (tree.take_dirty(until)) {
        ++taken;
    }
    CHECK(taken == 10);
    CHECK(tree.dirty_files().size() == 1);
}

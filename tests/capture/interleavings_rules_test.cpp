// Changes of files that have a rule of their own, where the rule might be applied to the wrong file
// or for too long: each at every moment at which it may come.
#include "tests/capture/interleavings.hpp"

#include <catch2/catch.hpp>

using namespace capture_test;
using mutator::make_symlink;
using mutator::remove_file;
using mutator::remove_tree;
using mutator::rename_path;

namespace {

const Path store_directory = "msg_stores/vhosts/V/msg_store_persistent";
const Path server_directory = "quorum/rabbit@a/UID";

std::string segment_header(char max_count) {
    return {'R', 'A', 'S', 'G', 0, 1, 0, max_count};
}

void message_store(const Path& data) {
    for (const char* name : {"3.rdq", "4.rdq", "5.rdq"}) {
        put(data / store_directory / name, 9000);
    }
}

void raft_segment(const Path& data) {
    std::filesystem::create_directories(data / server_directory);
    OpenFile file(data / server_directory / "00000001.segment");
    file.write_at(0, segment_header(16));
    file.write_at(8 + 16 * 32, fresh(9000));
    file.write_at(8, fresh(32));
}

}  // namespace

TEST_CASE("files of a message store") {
    const auto file = [](const Path& data, const char* name) {
        return data / store_directory / name;
    };
    for (const Scenario& scenario : std::vector<Scenario>{
             {"the highest grows", message_store,
              [=](const Path& data) { append(file(data, "5.rdq"), 9000); }},
             {"the one that was the highest is rewritten", message_store,
              [=](const Path& data) {
                  append(file(data, "5.rdq"));
                  put(file(data, "6.rdq"));
                  overwrite(file(data, "5.rdq"), 100);
              }},
             {"the one that was the highest is truncated and refilled", message_store,
              [=](const Path& data) {
                  put(file(data, "6.rdq"));
                  OpenFile left(file(data, "5.rdq"));
                  left.truncate(4000);
                  left.truncate(12000);
                  left.write_at(4000, fresh(8000));
              }},
             {"the one that was the highest is deleted", message_store,
              [=](const Path& data) {
                  put(file(data, "6.rdq"));
                  put(file(data, "10.rdq"));
                  remove_file(file(data, "5.rdq"));
                  append(file(data, "10.rdq"));
              }},
             {"a lower one is rewritten", message_store,
              [=](const Path& data) { overwrite(file(data, "3.rdq"), 5000); }},
             {"two are combined", message_store,
              [=](const Path& data) {
                  put(file(data, "3.rdt"), 500);
                  OpenFile left(file(data, "3.rdq"));
                  left.truncate(1000);
                  left.truncate(6000);
                  left.write_at(1000, fresh(500));
                  remove_file(file(data, "3.rdt"));
                  left.write_at(1500, fresh(4500));
                  remove_file(file(data, "4.rdq"));
              }},
             {"the store is made anew, with the same numbers", message_store,
              [=](const Path& data) {
                  remove_tree(data / store_directory);
                  message_store(data);
                  append(file(data, "5.rdq"));
              }},
             {"the store is made anew, with a lower number", message_store,
              [=](const Path& data) {
                  remove_tree(data / store_directory);
                  put(file(data, "0.rdq"), 9000);
                  append(file(data, "0.rdq"));
              }},
             {"the store of another virtual host takes its place",
              [](const Path& data) {
                  message_store(data);
                  put(data / "msg_stores/vhosts/W/msg_store_persistent/5.rdq", 12000);
              },
              [=](const Path& data) {
                  rename_path(data / "msg_stores/vhosts/V", data / "msg_stores/vhosts/T");
                  rename_path(data / "msg_stores/vhosts/W", data / "msg_stores/vhosts/V");
                  append(file(data, "5.rdq"));
              }}}) {
        play_everywhere(scenario);
    }
}

TEST_CASE("segments of a Raft log") {
    const auto path = [](const Path& data) { return data / server_directory / "00000001.segment"; };
    const auto empty_segment = [=](const Path& data) { put(path(data), 0); };
    for (const Scenario& scenario : std::vector<Scenario>{
             {"the index is filled in, and nothing else", raft_segment,
              [=](const Path& data) { overwrite(path(data), 8 + 32, 64); }},
             {"the last record of the index is filled in", raft_segment,
              [=](const Path& data) { overwrite(path(data), 8 + 15 * 32, 32); }},
             {"bodies are appended, then the index", raft_segment,
              [=](const Path& data) {
                  append(path(data), 9000);
                  overwrite(path(data), 8 + 32, 32);
              }},
             {"it gets its header", empty_segment,
              [=](const Path& data) { OpenFile(path(data)).append(segment_header(16)); }},
             {"it gets half of its header", empty_segment,
              [=](const Path& data) {
                  OpenFile(path(data)).append(segment_header(16).substr(0, 5));
              }},
             {"it gets all at once", empty_segment, raft_segment},
             {"it gets its first record behind a hole",
              [=](const Path& data) {
                  put(path(data), 0);
                  OpenFile(path(data)).append(segment_header(16));
              },
              [=](const Path& data) {
                  overwrite(path(data), 8 + 16 * 32, 5000);
                  overwrite(path(data), 8, 32);
              }},
             {"another one with a longer index takes its place", raft_segment,
              [=](const Path& data) {
                  Path compacting = path(data);
                  compacting.replace_extension(".compacting");
                  OpenFile file(compacting);
                  file.write_at(0, segment_header(64));
                  file.write_at(8 + 64 * 32, fresh(12000));
                  file.write_at(8, fresh(500));
                  rename_path(compacting, path(data));
              }},
             {"a link takes its place", raft_segment, [=](const Path& data) {
                  remove_file(path(data));
                  make_symlink(data / "elsewhere", path(data));
              }}}) {
        play_everywhere(scenario);
    }
}

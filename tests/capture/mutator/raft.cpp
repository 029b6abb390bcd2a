#include "tests/capture/mutator/raft.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace mutator {

namespace {

constexpr std::uint64_t wal_limit = 30000;
constexpr std::size_t servers_limit = 5;
constexpr std::size_t segments_limit = 2;
constexpr std::uint64_t segment_header = 8;
constexpr std::uint64_t segment_record = 32;

std::string padded(std::uint64_t number, const char* extension) {
    char name[40];
    std::snprintf(name, sizeof name, "%08llu%s", static_cast<unsigned long long>(number),
                  extension);
    return name;
}

}  // namespace

RaftServer::Segment::Segment(const Scene& scene, const Path& path) : file_(path) {
    const char header[] = {'R', 'A', 'S', 'G', 0, 1, 0, static_cast<char>(max_count)};
    file_.write_at(0, std::string_view(header, sizeof header));
    scene.did(Behaviour::raft_segment_create);
}

void RaftServer::Segment::append(const Scene& scene) {
    const std::uint64_t number = std::min(scene.random.between(1, 4), max_count - records_);
    std::uint64_t end = std::max(file_.size(), segment_header + max_count * segment_record);
    for (std::uint64_t body = 0; body < number; ++body) {
        const std::string bytes = scene.random.message();
        file_.write_at(end, bytes);
        end += bytes.size();
    }
    file_.write_at(segment_header + records_ * segment_record,
                   scene.random.bytes(number * segment_record));
    records_ += number;
    scene.did(Behaviour::raft_segment_append);
}

RaftServer::RaftServer(const Scene& scene, Path directory)
    : scene_(scene), directory_(std::move(directory)) {
    make_directory(directory_);
    make_directory(directory_ / "snapshots");
    make_directory(directory_ / "checkpoints");
    OpenFile(directory_ / "config").append(scene_.random.bytes(300));
    begin_segment();
}

Path RaftServer::segment(std::uint64_t number) const {
    return directory_ / padded(number, ".segment");
}

void RaftServer::begin_segment() {
    current_.reset();
    if (number_ != 0) {
        closed_.push_back(number_);
    }
    current_ = std::make_unique<Segment>(scene_, segment(++number_));
}

void RaftServer::append_to_segment() {
    if (current_->full()) {
        begin_segment();
    }
    current_->append(scene_);
}

void RaftServer::step() {
    switch (scene_.random.below(16)) {
        case 0:
            replace_file(directory_ / "config", scene_.random.bytes(300));
            scene_.did(Behaviour::config_replace);
            break;
        case 1:
            replace_segment();
            break;
        case 2:
        case 3:
            write_snapshot();
            break;
        case 4:
            remove_segments();
            break;
        default:
            append_to_segment();
    }
}

// Ra 3's compaction: what is alive of two segments is written to a third, which takes the place of
// the first; the second becomes a link to it.
void RaftServer::replace_segment() {
    if (closed_.size() < 2) {
        return append_to_segment();
    }
    const Path first = segment(closed_[0]);
    const Path second = segment(closed_[1]);
    Path temporary = first;
    temporary.replace_extension(".compacting");
    Segment(scene_, temporary).append(scene_);
    rename_path(temporary, first);
    scene_.did(Behaviour::raft_segment_replace);
    Path link = second;
    link.replace_extension(".link");
    make_symlink(first, link);
    rename_path(link, second);
    closed_.erase(std::next(closed_.begin()));
    links_.push_back(second);
    scene_.did(Behaviour::raft_segment_link);
}

void RaftServer::remove_segments() {
    while (closed_.size() > segments_limit) {
        remove_file(segment(closed_.front()));
        closed_.pop_front();
        scene_.did(Behaviour::raft_segment_delete);
    }
    while (links_.size() > segments_limit) {
        remove_file(links_.front());
        links_.pop_front();
        scene_.did(Behaviour::symlink_delete);
    }
}

void RaftServer::write_snapshot() {
    const std::string name = padded(scene_.random.next() % 100000000, "_snapshot");
    const Path parent = directory_ / (scene_.random.one_in(4) ? "checkpoints" : "snapshots");
    if (std::filesystem::exists(parent / name)) {
        return;
    }
    const Path temporary = parent / (name + ".accepting");
    make_directory(temporary);
    OpenFile(temporary / "snapshot.dat")
        .append_in_pieces(scene_.random, scene_.random.bytes(scene_.random.between(100, 3000)));
    make_directory(temporary / "indexes");
    rename_path(temporary, parent / name);
    snapshots_.push_back(parent / name);
    scene_.did(Behaviour::snapshot_write);
    while (snapshots_.size() > 2) {
        remove_tree(snapshots_.front());
        snapshots_.pop_front();
        scene_.did(Behaviour::snapshot_delete);
    }
}

RaftSystem::RaftSystem(const Scene& scene, Path directory)
    : scene_(scene),
      directory_(std::move(directory)),
      wal_((std::filesystem::create_directories(directory_), wal(1))) {
    OpenFile(directory_ / "meta.dets").append(scene_.random.bytes(5464));
    OpenFile(directory_ / "names.dets").append(scene_.random.bytes(5464));
    for (int count = 0; count < 2; ++count) {
        servers_.push_back(std::make_unique<RaftServer>(
            scene_, directory_ / ("UID" + std::to_string(next_server_++))));
    }
}

Path RaftSystem::wal(std::uint64_t number) const {
    return directory_ / padded(number, ".wal");
}

void RaftSystem::step() {
    const std::uint64_t choice = scene_.random.below(120);
    if (wal_.size() > wal_limit) {
        roll_wal();
    } else if (choice == 0) {
        change_servers();
    } else if (choice < 16) {
        update_table();
    } else if (choice < 64 && !servers_.empty()) {
        servers_[scene_.random.below(servers_.size())]->step();
    } else {
        const bool large = scene_.random.one_in(600);
        wal_.append_in_pieces(scene_.random,
                              large ? scene_.random.bytes(400000) : scene_.random.message());
        scene_.did(large ? Behaviour::large_write : Behaviour::wal_append);
    }
}

void RaftSystem::roll_wal() {
    closed_wals_.push_back(wal_number_);
    wal_ = OpenFile(wal(++wal_number_));
    scene_.did(Behaviour::wal_roll);
    for (const auto& server : servers_) {
        server->append_to_segment();
    }
    while (closed_wals_.size() > 1 || (!closed_wals_.empty() && scene_.random.one_in(2))) {
        remove_file(wal(closed_wals_.front()));
        closed_wals_.pop_front();
        scene_.did(Behaviour::wal_delete);
    }
}

void RaftSystem::change_servers() {
    if (servers_.empty() || (scene_.random.one_in(2) && servers_.size() < servers_limit)) {
        servers_.push_back(std::make_unique<RaftServer>(
            scene_, directory_ / ("UID" + std::to_string(next_server_++))));
        scene_.did(Behaviour::raft_server_create);
        return;
    }
    const auto victim = std::next(
        servers_.begin(), static_cast<std::ptrdiff_t>(scene_.random.below(servers_.size())));
    const Path directory = (*victim)->directory();
    servers_.erase(victim);
    remove_tree(directory);
    scene_.did(Behaviour::raft_server_delete);
}

void RaftSystem::update_table() {
    OpenFile table(directory_ / (scene_.random.one_in(3) ? "names.dets" : "meta.dets"));
    table.write_at(scene_.random.below(12000), scene_.random.bytes(scene_.random.between(4, 64)));
    scene_.did(Behaviour::dets_update);
}

}  // namespace mutator

#include "tests/capture/mutator/others.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace mutator {

namespace {

constexpr std::uint64_t stream_segment_limit = 16000;
constexpr std::size_t stream_segments_limit = 4;
constexpr std::size_t streams_limit = 4;
constexpr std::uint64_t mnesia_log_limit = 6000;
constexpr std::size_t tiny_files_per_directory = 64;

std::string stream_name(std::uint64_t offset) {
    char name[32];
    std::snprintf(name, sizeof name, "%020llu", static_cast<unsigned long long>(offset));
    return name;
}

}  // namespace

Stream::Segment::Segment(const Path& directory, std::uint64_t first_offset)
    : name(stream_name(first_offset)),
      segment(directory / (name + ".segment")),
      index(directory / (name + ".index")) {
    segment.append("OSIL\0\0\0\1");
    index.append("OSII\0\0\0\1");
}

Stream::Stream(const Scene& scene, Path directory)
    : scene_(scene), directory_(std::move(directory)) {
    make_directory(directory_);
    segments_.emplace_back(directory_, 0);
}

void Stream::step() {
    if (segments_.back().segment.size() > stream_segment_limit) {
        segments_.emplace_back(directory_, offset_);
        scene_.did(Behaviour::stream_roll);
    }
    if (segments_.size() > stream_segments_limit) {
        remove_file(directory_ / (segments_.front().name + ".index"));
        remove_file(directory_ / (segments_.front().name + ".segment"));
        segments_.pop_front();
        scene_.did(Behaviour::stream_retention);
    }
    segments_.back().segment.append_in_pieces(scene_.random, scene_.random.message());
    segments_.back().index.append(scene_.random.bytes(29));
    offset_ += scene_.random.between(1, 20);
    scene_.did(Behaviour::stream_append);
}

Streams::Streams(const Scene& scene, Path directory)
    : scene_(scene), directory_(std::move(directory)) {
    std::filesystem::create_directories(directory_);
    add();
    add();
}

void Streams::add() {
    streams_.push_back(
        std::make_unique<Stream>(scene_, directory_ / ("__stream_" + std::to_string(next_++))));
}

void Streams::step() {
    const std::size_t index = scene_.random.below(streams_.size());
    if (!scene_.random.one_in(80)) {
        streams_[index]->step();
    } else if (streams_.size() < 2 ||
               (scene_.random.one_in(2) && streams_.size() < streams_limit)) {
        add();
        scene_.did(Behaviour::stream_create);
    } else {
        remove_tree(streams_[index]->directory());
        streams_.erase(std::next(streams_.begin(), static_cast<std::ptrdiff_t>(index)));
        scene_.did(Behaviour::stream_delete);
    }
}

Mnesia::Mnesia(const Scene& scene, Path directory, Path outside)
    : scene_(scene),
      directory_(std::move(directory)),
      outside_(std::move(outside)),
      log_(std::make_unique<OpenFile>(directory_ / "LATEST.LOG")) {
    OpenFile(directory_ / "schema.DAT").append(scene_.random.bytes(4000));
    OpenFile(directory_ / "DECISION_TAB.LOG").append(scene_.random.bytes(93));
    OpenFile(outside_).append("[].");
}

void Mnesia::step() {
    switch (scene_.random.below(20)) {
        case 0:
        case 1:
            replace_file(directory_ / "rabbit_durable_queue.DCD", scene_.random.message());
            remove_tree(directory_ / "rabbit_durable_queue.DCL");
            scene_.did(Behaviour::mnesia_table_replace);
            break;
        case 2:
            rename_path(directory_ / "LATEST.LOG", directory_ / "PREVIOUS.LOG");
            log_ = std::make_unique<OpenFile>(directory_ / "LATEST.LOG");
            OpenFile(directory_ / "rabbit_durable_queue.DCL").append(scene_.random.message());
            remove_file(directory_ / "PREVIOUS.LOG");
            scene_.did(Behaviour::mnesia_log_rename);
            break;
        case 3:
            replace_file(outside_, scene_.random.bytes(scene_.random.between(10, 900)));
            scene_.did(Behaviour::outside_replace);
            break;
        case 4:
            OpenFile(directory_ / "rabbit@a.pid").truncate(scene_.random.below(9));
            scene_.did(Behaviour::left_out_change);
            break;
        default:
            // disk_log fills in its header when it closes, and appends otherwise.
            log_->write_at(0, scene_.random.bytes(12));
            if (log_->size() < mnesia_log_limit) {
                log_->append(scene_.random.bytes(scene_.random.between(20, 200)));
            }
            scene_.did(Behaviour::mnesia_log_update);
    }
}

Oddities::Oddities(const Scene& scene, Path directory, std::uint64_t files)
    : scene_(scene), directory_(std::move(directory)), files_(files) {
    std::filesystem::create_directories(directory_ / "links");
    std::filesystem::create_directories(directory_ / "kinds");
    std::filesystem::create_directories(directory_ / "circle");
    for (std::uint64_t number = 0; number < files_; ++number) {
        std::filesystem::create_directories(tiny(number).parent_path());
        OpenFile(tiny(number)).append(scene_.random.bytes(scene_.random.below(40)));
    }
    for (int number = 0; number < 4; ++number) {
        OpenFile(directory_ / "circle" / std::to_string(number)).append(scene_.random.message());
    }
}

Path Oddities::tiny(std::uint64_t number) const {
    return directory_ / "tiny" / std::to_string(number / tiny_files_per_directory) /
           std::to_string(number);
}

void Oddities::step() {
    switch (scene_.random.below(7)) {
        case 0:
            return change_link();
        case 1:
            return change_kind();
        case 2:
            return change_mode_of_something();
        case 3:
            return write_sparse();
        case 4:
            return rename_in_circles();
        default:
            return change_tiny_files();
    }
}

void Oddities::change_link() {
    const Path link = directory_ / "links" / std::to_string(scene_.random.below(6));
    const Path target = "/nowhere/" + std::to_string(scene_.random.next());
    if (!std::filesystem::is_symlink(link)) {
        make_symlink(target, link);
        scene_.did(Behaviour::symlink_create);
    } else if (scene_.random.one_in(3)) {
        remove_file(link);
        scene_.did(Behaviour::symlink_delete);
    } else {
        Path temporary = link;
        temporary += ".new";
        make_symlink(target, temporary);
        rename_path(temporary, link);
        scene_.did(Behaviour::symlink_replace);
    }
}

// A name becomes a file, a directory with something in it, an empty directory, a link, or nothing.
void Oddities::change_kind() {
    const Path path = directory_ / "kinds" / std::to_string(scene_.random.below(5));
    remove_tree(path);
    switch (scene_.random.below(5)) {
        case 0:
            OpenFile(path, 0600).append(scene_.random.message());
            break;
        case 1:
            make_directory(path);
            make_directory(path / "deep");
            OpenFile(path / "deep" / "file").append(scene_.random.message());
            break;
        case 2:
            make_directory(path);
            scene_.did(Behaviour::empty_directory);
            break;
        case 3:
            make_symlink("tiny", path);
            break;
        default:
            break;
    }
    scene_.did(Behaviour::kind_change);
}

void Oddities::change_mode_of_something() {
    const auto mode = static_cast<mode_t>(scene_.random.one_in(2) ? 0700 : 0750);
    if (scene_.random.one_in(3)) {
        change_mode(directory_ / "kinds", mode);
    } else {
        change_mode(directory_ / "circle" / std::to_string(scene_.random.below(4)), mode);
    }
    scene_.did(Behaviour::mode_change);
}

void Oddities::write_sparse() {
    OpenFile file(directory_ / "sparse");
    if (file.size() > 400000) {
        file.truncate(scene_.random.below(1000));
    } else if (scene_.random.one_in(2)) {
        file.truncate(file.size() + scene_.random.below(60000));
    } else {
        file.write_at(scene_.random.below(200000), scene_.random.bytes(100));
    }
    scene_.did(Behaviour::sparse_write);
}

void Oddities::change_tiny_files() {
    for (int count = 0; count < 4; ++count) {
        const Path path = tiny(scene_.random.below(files_));
        if (scene_.random.one_in(3)) {
            remove_tree(path);
        } else {
            OpenFile(path).write_at(scene_.random.below(40), scene_.random.bytes(10));
        }
    }
    scene_.did(Behaviour::tiny_files);
}

// Names of one directory change places: a to t, b to a, t to b.
void Oddities::rename_in_circles() {
    const Path circle = directory_ / "circle";
    const std::uint64_t first = scene_.random.below(4);
    const std::uint64_t second = (first + scene_.random.between(1, 3)) % 4;
    rename_path(circle / std::to_string(first), circle / "free");
    rename_path(circle / std::to_string(second), circle / std::to_string(first));
    rename_path(circle / "free", circle / std::to_string(second));
    scene_.did(Behaviour::rename_chain);
}

}  // namespace mutator

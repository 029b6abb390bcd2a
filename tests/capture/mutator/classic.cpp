#include "tests/capture/mutator/classic.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <thread>

namespace mutator {

namespace {

constexpr std::uint64_t store_file_limit = 6000;
constexpr std::size_t store_files_limit = 7;
constexpr std::chrono::microseconds combine_duration{300};
constexpr std::uint64_t journal_limit = 600;
constexpr std::size_t segments_limit = 4;
constexpr std::uint64_t index_header = 64;
constexpr std::uint64_t index_entry = 32;
constexpr std::uint64_t index_entries = 128;
constexpr std::size_t queues_limit = 5;
constexpr std::size_t vhosts_limit = 3;

}  // namespace

MessageStore::MessageStore(const Scene& scene, Path directory, Reclaim reclaim)
    : scene_(scene),
      directory_(std::move(directory)),
      reclaim_(reclaim),
      current_((make_directory(directory_), file(0))) {}

Path MessageStore::file(std::uint64_t number) const {
    return directory_ / (std::to_string(number) + ".rdq");
}

std::optional<std::size_t> MessageStore::pick_closed(std::size_t neighbours) {
    if (numbers_.size() <= neighbours) {
        return std::nullopt;
    }
    return scene_.random.below(numbers_.size() - neighbours);
}

void MessageStore::step() {
    const std::uint64_t choice = scene_.random.below(20);
    if (numbers_.size() > store_files_limit || choice == 0) {
        remove_one();
    } else if (choice <= 2) {
        reclaim_ == Reclaim::combine ? combine() : compact();
    } else if (choice == 3 && reclaim_ == Reclaim::compact) {
        truncate();
    } else {
        append();
    }
}

void MessageStore::append() {
    if (current_.size() > store_file_limit) {
        numbers_.push_back(numbers_.back() + 1);
        current_ = OpenFile(file(numbers_.back()));
        scene_.did(Behaviour::store_roll);
    }
    const bool large = scene_.random.one_in(400);
    current_.append_in_pieces(scene_.random,
                              large ? scene_.random.bytes(300000) : scene_.random.message());
    scene_.did(large ? Behaviour::large_write : Behaviour::store_append);
}

// What combine_files/3 of RabbitMQ 3.x does: the messages of the left file beyond its contiguous
// ones go to a temporary file, the left one is truncated, extended and refilled, then gets those of
// the right one, which is deleted.
void MessageStore::combine() {
    const auto index = pick_closed(2);
    if (!index) {
        return append();
    }
    Random& random = scene_.random;
    const Path left_path = file(numbers_[*index]);
    const Path right_path = file(numbers_[*index + 1]);
    OpenFile left(left_path);
    const std::uint64_t contiguous = random.one_in(3) ? left.size() : random.below(left.size() + 1);
    const std::string rest = random.bytes(random.below(left.size() - contiguous + 1));
    const std::string moved =
        random.bytes(random.below(std::min(file_size(right_path), store_file_limit) + 1));
    const bool temporary = !rest.empty();
    Path temporary_path = left_path;
    temporary_path.replace_extension(".rdt");
    if (temporary) {
        OpenFile(temporary_path).append_in_pieces(random, rest);
    }
    left.truncate(contiguous);
    left.truncate(contiguous + rest.size() + moved.size());
    // Messages of some megabytes take their time here, and a node may be stopped meanwhile.
    std::this_thread::sleep_for(combine_duration);
    left.write_at(contiguous, rest);
    if (temporary) {
        remove_file(temporary_path);
    }
    left.write_at(contiguous + rest.size(), std::string_view(moved).substr(0, moved.size() / 2));
    left.write_at(contiguous + rest.size() + moved.size() / 2,
                  std::string_view(moved).substr(moved.size() / 2));
    remove_file(right_path);
    numbers_.erase(std::next(numbers_.begin(), static_cast<std::ptrdiff_t>(*index + 1)));
    scene_.did(temporary ? Behaviour::store_combine : Behaviour::store_combine_in_place);
}

void MessageStore::compact() {
    const auto index = pick_closed();
    if (!index) {
        return append();
    }
    OpenFile target(file(numbers_[*index]));
    const std::uint64_t size = target.size();
    for (int moves = 0; moves < 3 && size > 0; ++moves) {
        const std::uint64_t from = scene_.random.below(size);
        target.write_at(from, scene_.random.bytes(scene_.random.below(size - from) + 1));
    }
    scene_.did(Behaviour::store_compact);
}

void MessageStore::truncate() {
    const auto index = pick_closed();
    if (!index) {
        return append();
    }
    OpenFile target(file(numbers_[*index]));
    target.truncate(scene_.random.below(target.size() + 1));
    scene_.did(Behaviour::store_truncate);
}

void MessageStore::remove_one() {
    const auto index = pick_closed();
    if (!index) {
        return append();
    }
    remove_file(file(numbers_[*index]));
    numbers_.erase(std::next(numbers_.begin(), static_cast<std::ptrdiff_t>(*index)));
    scene_.did(Behaviour::store_delete);
}

ClassicQueue::ClassicQueue(const Scene& scene, Path directory, int version)
    : scene_(scene), directory_(std::move(directory)), version_(version) {
    make_directory(directory_);
    if (version_ == 1) {
        journal_.emplace(directory_ / "journal.jif");
    }
}

Path ClassicQueue::segment(std::uint64_t number, const char* extension) const {
    return directory_ / (std::to_string(number) + extension);
}

void ClassicQueue::step() {
    const std::uint64_t choice = scene_.random.below(12);
    if (version_ == 1) {
        if (journal_->size() > journal_limit || choice == 0) {
            flush_journal();
        } else if (choice == 1) {
            remove_index();
        } else {
            journal_->append(scene_.random.bytes(scene_.random.between(8, 60)));
            scene_.did(Behaviour::journal_append);
        }
    } else if (choice == 0) {
        remove_segment();
    } else if (choice < 6) {
        write_index_entries();
    } else {
        append_to_store();
    }
}

void ClassicQueue::flush_journal() {
    if (segments_.empty() || scene_.random.one_in(3)) {
        segments_.push_back(next_segment_++);
    }
    const std::uint64_t number = segments_[scene_.random.below(segments_.size())];
    OpenFile(segment(number, ".idx"))
        .append_in_pieces(scene_.random, scene_.random.bytes(scene_.random.between(20, 500)));
    scene_.did(Behaviour::index_append);
    journal_->truncate(0);
    scene_.did(Behaviour::journal_truncate);
}

void ClassicQueue::remove_index() {
    if (segments_.empty()) {
        return flush_journal();
    }
    const Path path = segment(segments_.front(), ".idx");
    remove_tree(path);
    if (scene_.random.one_in(2)) {
        OpenFile(path).append(scene_.random.bytes(scene_.random.below(300)));
        scene_.did(Behaviour::index_recreate);
    } else {
        segments_.pop_front();
        scene_.did(Behaviour::index_delete);
    }
}

// Publishing fills entries in order, acknowledging clears them anywhere.
void ClassicQueue::write_index_entries() {
    if (segments_.empty()) {
        return append_to_store();
    }
    OpenFile index(segment(segments_[scene_.random.below(segments_.size())], ".qi"));
    if (index.size() == 0) {
        index.write_at(0, scene_.random.bytes(index_header));
    }
    const std::uint64_t first = scene_.random.below(index_entries);
    const std::uint64_t number =
        scene_.random.between(1, std::min<std::uint64_t>(8, index_entries - first));
    const std::uint64_t offset = index_header + first * index_entry;
    if (scene_.random.one_in(2)) {
        index.write_at(offset, scene_.random.bytes(number * index_entry));
    } else {
        index.write_at(offset, std::string(1, '\0'));
    }
    scene_.did(Behaviour::queue_index_update);
}

void ClassicQueue::append_to_store() {
    if (segments_.empty() || scene_.random.one_in(8)) {
        segments_.push_back(next_segment_++);
    }
    OpenFile(segment(segments_.back(), ".qs"))
        .append_in_pieces(scene_.random, scene_.random.message());
    scene_.did(Behaviour::queue_store_append);
    if (segments_.size() > segments_limit) {
        remove_segment();
    }
}

void ClassicQueue::remove_segment() {
    if (segments_.empty()) {
        return append_to_store();
    }
    remove_tree(segment(segments_.front(), ".qi"));
    remove_tree(segment(segments_.front(), ".qs"));
    segments_.pop_front();
    scene_.did(Behaviour::queue_segment_delete);
}

Vhost::Vhost(const Scene& scene, Path directory, Path scratch)
    : scene_(scene), directory_(std::move(directory)), scratch_(std::move(scratch)) {
    make_directory(directory_);
    OpenFile(directory_ / ".vhost").append("vhost");
    OpenFile(directory_ / ".config").append("#{segment_entry_count => 2048}.");
    stores_.push_back(std::make_unique<MessageStore>(scene_, directory_ / "msg_store_persistent",
                                                     Reclaim::combine));
    stores_.push_back(std::make_unique<MessageStore>(scene_, directory_ / "msg_store_transient",
                                                     Reclaim::compact));
    make_directory(directory_ / "queues");
    for (int count = 0; count < 2; ++count) {
        queues_.push_back(make_queue(new_name()));
    }
}

std::unique_ptr<ClassicQueue> Vhost::make_queue(const Path& directory) {
    auto queue = std::make_unique<ClassicQueue>(scene_, directory,
                                                static_cast<int>(scene_.random.between(1, 2)));
    for (std::uint64_t steps = scene_.random.below(6); steps > 0; --steps) {
        queue->step();
    }
    return queue;
}

Path Vhost::new_name() {
    return directory_ / "queues" / ("Q" + std::to_string(next_queue_++));
}

void Vhost::step() {
    const std::uint64_t choice = scene_.random.below(60);
    if (choice < 2) {
        change_queues();
    } else if (choice == 2) {
        change_left_out();
    } else if (choice < 35 || queues_.empty()) {
        stores_[scene_.random.below(stores_.size())]->step();
    } else {
        queues_[scene_.random.below(queues_.size())]->step();
    }
}

void Vhost::change_queues() {
    const std::uint64_t choice = scene_.random.below(5);
    if (queues_.empty() || (choice < 2 && queues_.size() < queues_limit)) {
        queues_.push_back(make_queue(new_name()));
        scene_.did(Behaviour::queue_create);
    } else if (choice < 4) {
        move_queue();
    } else {
        remove_queue();
    }
}

void Vhost::remove_queue() {
    const std::size_t index = scene_.random.below(queues_.size());
    const Path directory = queues_[index]->directory();
    remove_tree(directory);
    if (scene_.random.one_in(2)) {
        queues_[index] = make_queue(directory);
        scene_.did(Behaviour::queue_recreate);
    } else {
        queues_.erase(std::next(queues_.begin(), static_cast<std::ptrdiff_t>(index)));
        scene_.did(Behaviour::queue_delete);
    }
}

void Vhost::move_queue() {
    const std::size_t index = scene_.random.below(queues_.size());
    const Path from = queues_[index]->directory();
    const Path outside = scratch_ / "queue";
    switch (scene_.random.below(3)) {
        case 0: {
            const Path to = new_name();
            rename_path(from, to);
            queues_[index]->moved_to(to);
            scene_.did(Behaviour::queue_rename);
            break;
        }
        case 1:
            // Written to once more outside, where nobody watches.
            rename_path(from, outside);
            queues_[index]->moved_to(outside);
            queues_[index]->step();
            queues_.erase(std::next(queues_.begin(), static_cast<std::ptrdiff_t>(index)));
            remove_tree(outside);
            scene_.did(Behaviour::queue_move_out);
            break;
        default: {
            auto queue = make_queue(outside);
            remove_tree(from);
            rename_path(outside, from);
            queue->moved_to(from);
            queues_[index] = std::move(queue);
            scene_.did(Behaviour::queue_move_in);
        }
    }
}

void Vhost::change_left_out() {
    const char* const names[] = {"recovery.dets", "msg_store_persistent/clean.dot",
                                 "msg_store_persistent/file_summary.ets",
                                 "msg_store_transient/msg_store_index.ets"};
    const Path path = directory_ / names[scene_.random.below(std::size(names))];
    if (std::filesystem::exists(path)) {
        remove_file(path);
    } else {
        OpenFile(path).append(scene_.random.message());
    }
    scene_.did(Behaviour::left_out_change);
}

Vhosts::Vhosts(const Scene& scene, Path directory, Path scratch)
    : scene_(scene), directory_(std::move(directory)), scratch_(std::move(scratch)) {
    std::filesystem::create_directories(directory_);
    add("V" + std::to_string(next_++));
    add("V" + std::to_string(next_++));
}

void Vhosts::add(const std::string& name) {
    vhosts_[name] = std::make_unique<Vhost>(scene_, directory_ / name, scratch_);
}

void Vhosts::step() {
    const auto victim = std::next(vhosts_.begin(),
                                  static_cast<std::ptrdiff_t>(scene_.random.below(vhosts_.size())));
    if (!scene_.random.one_in(500)) {
        victim->second->step();
    } else if (scene_.random.one_in(2) && vhosts_.size() < vhosts_limit) {
        add("V" + std::to_string(next_++));
        scene_.did(Behaviour::vhost_create);
    } else {
        const std::string name = victim->first;
        vhosts_.erase(victim);
        remove_tree(directory_ / name);
        if (vhosts_.empty() || scene_.random.one_in(2)) {
            add(name);
            scene_.did(Behaviour::vhost_recreate);
        } else {
            scene_.did(Behaviour::vhost_delete);
        }
    }
}

}  // namespace mutator

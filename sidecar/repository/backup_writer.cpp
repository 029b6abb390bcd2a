#include "sidecar/repository/backup_writer.hpp"

#include "sidecar/repository/identifier.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr auto mistake_hint = "Report this: it is a mistake in rabbitmq-hot-backup.";

// Of a new backup, after what earlier ones left is gone.
std::string choose_id(const Repository& repository, const Lock& lock, Timestamp started,
                      const std::string& cluster_backup) {
    if (!lock.group().empty() && lock.group() != cluster_backup) {
        throw Error(ErrorCode::failed,
                    "the repository is locked for parts of cluster backup " + lock.group(),
                    mistake_hint);
    }
    std::string id;
    lock.exclusively([&] {
        repository.sweep(lock);
        if (!cluster_backup.empty() && repository.has_backup(cluster_backup)) {
            throw Error(ErrorCode::failed,
                        "repository " + repository.directory().string() +
                            " has a backup with the ID of the cluster backup, " + cluster_backup,
                        "Make the backup again: it gets another ID.");
        }
        id = next_backup_id(started, std::max({repository.last_id(), cluster_backup,
                                               lock.last_chosen_by_others()}));
        lock.choose(id);
    });
    return id;
}

}  // namespace

FileWriter::FileWriter(FileWriter&& other) noexcept
    : backup_(std::exchange(other.backup_, nullptr)), entry_(std::move(other.entry_)) {}

FileWriter::~FileWriter() {
    if (backup_ != nullptr) {
        backup_->state_ = BackupWriter::State::failed;
    }
}

void FileWriter::append(std::string_view bytes) {
    backup_->append(entry_, bytes);
}

void FileWriter::close() {
    backup_->close(std::move(entry_));
    backup_ = nullptr;
}

// One step of writing a backup: unless it is seen to its end, the backup has failed.
class BackupWriter::Step {
public:
    Step(BackupWriter& writer, State expected) : writer_(writer) {
        const State found = writer.state_;
        if (found == State::published || found == State::withdrawn) {
            throw Error(ErrorCode::failed, "backup " + writer.id_ + " is published already",
                        mistake_hint);
        }
        writer.state_ = State::failed;
        if (writer.store_error_) {
            throw Error(*writer.store_error_);
        }
        if (found != expected) {
            throw Error(ErrorCode::failed,
                        "backup " + writer.id_ + " was given up before it was complete",
                        "Look for the error that came first, then make the backup again.");
        }
    }
    void done(State next) { writer_.state_ = next; }

private:
    BackupWriter& writer_;
};

BackupWriter::BackupWriter(const Repository& repository, const Lock& lock, Timestamp started)
    : BackupWriter(repository, lock, started, Options{}) {}

BackupWriter::BackupWriter(const Repository& repository, const Lock& lock, Timestamp started,
                           Options options)
    : repository_(repository),
      file_system_(repository.file_system()),
      lock_(lock),
      started_(started),
      options_(std::move(options)),
      id_(choose_id(repository, lock, started, options_.cluster_backup)),
      packs_(file_system_, repository.packs(), id_, options_.pack_size) {}

BackupWriter::~BackupWriter() {
    if (state_ != State::published && state_ != State::withdrawn) {
        try {
            discard();
        } catch (const Error&) {
            // The next writer sweeps what is left.
        }
    }
}

FileWriter BackupWriter::add_file(std::string path, std::string kind,
                                  std::optional<Origin> origin) {
    Step step(*this, State::idle);
    check_path(path);
    FileEntry entry;
    entry.path = std::move(path);
    entry.kind = std::move(kind);
    entry.origin = std::move(origin);
    step.done(State::writing_file);
    return {*this, std::move(entry)};
}

Extent BackupWriter::store(std::string_view bytes) {
    const Digest digest = checksum(bytes);
    const std::lock_guard lock(store_mutex_);
    Step step(*this, State::idle);
    try {
        if (bytes.empty() || bytes.size() > max_extent_size) {
            throw Error(ErrorCode::failed,
                        "an extent cannot have " + std::to_string(bytes.size()) + " bytes",
                        mistake_hint);
        }
        Extent extent = packs_.store(bytes, digest);
        step.done(State::idle);
        return extent;
    } catch (const Error& error) {
        store_error_ = error;
        throw;
    }
}

void BackupWriter::add_entry(FileEntry entry) {
    Step step(*this, State::idle);
    check_path(entry.path);
    if (const std::string problem = problem_of(entry, id_); !problem.empty()) {
        throw Error(ErrorCode::failed, "cannot store \"" + entry.path + "\": " + problem,
                    mistake_hint);
    }
    files_.insert(std::move(entry));
    step.done(State::idle);
}

void BackupWriter::check_path(const std::string& path) const {
    if (!is_path_in_backup(path) || files_.contains(path)) {
        throw Error(
            ErrorCode::failed,
            "cannot store \"" + path + "\": it is not a name for a file of a backup, or is taken",
            "A file of the node needs a name in UTF-8 that no other one has: rename it, "
            "then make the backup again.");
    }
}

void BackupWriter::append(FileEntry& entry, std::string_view bytes) {
    Step step(*this, State::writing_file);
    while (!bytes.empty()) {
        const auto part =
            std::min<std::uint64_t>(bytes.size(), options_.extent_size - packs_.extent_size());
        packs_.append(bytes.substr(0, part));
        entry.size += part;
        bytes.remove_prefix(part);
        if (packs_.extent_size() == options_.extent_size) {
            entry.extents.push_back(packs_.end_extent());
        }
    }
    step.done(State::writing_file);
}

void BackupWriter::close(FileEntry entry) {
    Step step(*this, State::writing_file);
    if (packs_.extent_size() > 0) {
        entry.extents.push_back(packs_.end_extent());
    }
    files_.insert(std::move(entry));
    step.done(State::idle);
}

Summary BackupWriter::publish(Summary summary, Timestamp finished,
                              const std::function<void()>& after_sync) {
    Step step(*this, State::idle);
    check_kind(summary);
    packs_.finish(after_sync);
    summary.finished = finished;
    fill_in(summary);
    write_manifest(summary);
    after_sync();
    read_back();
    // Who removed the lock may have let in a writer that took our packs for left over ones.
    lock_.throw_unless_held();
    manifest_may_be_visible_ = true;
    file_system_.rename(temporary_manifest(), repository_.manifest_path(id_));
    file_system_.sync_directory(repository_.manifests());
    step.done(State::published);
    return summary;
}

void BackupWriter::withdraw() {
    if (state_ != State::published || options_.cluster_backup.empty()) {
        throw Error(ErrorCode::failed, "backup " + id_ + " is no part that is in doubt",
                    mistake_hint);
    }
    if (repository_.has_cluster(options_.cluster_backup)) {
        throw Error(ErrorCode::failed,
                    "part " + id_ + " belongs to cluster backup " + options_.cluster_backup +
                        ", which is published",
                    "If it is to go, delete the cluster backup.");
    }
    discard();
    state_ = State::withdrawn;
}

void BackupWriter::check_kind(const Summary& summary) const {
    const auto named = summary.part ? summary.part->cluster_backup : std::string();
    if (named != options_.cluster_backup || summary.part.has_value() == named.empty()) {
        throw Error(ErrorCode::failed,
                    "backup " + id_ + " is not of the cluster backup that its summary names",
                    mistake_hint);
    }
}

void BackupWriter::fill_in(Summary& summary) const {
    if (summary.part) {
        summary.kind = part_kind;
    }
    summary.started = started_;
    summary.files = files_.size();
    summary.bytes = 0;
    summary.stored_bytes = 0;
    for (const FileEntry& entry : files_) {
        summary.bytes += entry.size;
        for (const Extent& extent : entry.extents) {
            summary.stored_bytes += extent.stored_size();
        }
    }
    summary.packs = packs_.packs();
}

void BackupWriter::write_manifest(const Summary& summary) {
    const auto file = file_system_.create(temporary_manifest());
    file_system_.inherit_owner(temporary_manifest());
    ManifestWriter manifest(*file, id_, summary);
    for (const FileEntry& entry : files_) {
        manifest.write_file(entry);
    }
    published_ = {manifest.finish(), file->status().size};
}

void BackupWriter::read_back() const {
    try {
        ManifestReader manifest(file_system_, temporary_manifest(), id_);
        while (manifest.next_file()) {
        }
    } catch (const Error& error) {
        if (error.code() != ErrorCode::damaged) {
            throw;
        }
        throw Error(
            ErrorCode::failed,
            "backup " + id_ + " is not published, because it could not be read: " + error.what(),
            "Check the clocks of this host and the node, then make the backup again. "
            "Report this if that ends in the same way.");
    }
}

void BackupWriter::discard() {
    // Without the lock, another writer is at work here.
    lock_.throw_unless_held();
    file_system_.remove(temporary_manifest());
    if (manifest_may_be_visible_) {
        // While a manifest may still name them, also after a power cut, the packs stay.
        file_system_.remove(repository_.manifest_path(id_));
        file_system_.sync_directory(repository_.manifests());
    }
    for (const PackSize& pack : packs_.packs()) {
        file_system_.remove(repository_.pack_path(pack.name));
    }
}

Path BackupWriter::temporary_manifest() const {
    return repository_.manifest_path(id_) += ".tmp";
}

}  // namespace hot_backup

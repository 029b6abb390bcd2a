// Writes one backup into a repository: files into packs, and a manifest last. docs/format.md,
// "Invariants".
//
//     Lock lock(repository.file_system(), repository.directory(), "create");
//     BackupWriter writer(repository, lock);
//     auto snapshot = writer.add_file("metadata/snapshot", "metadata");
//     snapshot.append(bytes); ...
//     snapshot.close();
//     const Summary summary = writer.publish(std::move(what_the_node_said));
//
// Nobody sees the backup before publish() has returned. Any call may throw Error; then the backup
// cannot be published any more, and the destructor removes what was written. What it cannot remove,
// the next writer sweeps.
//
// A part of a cluster backup is written in the same way, but what publish() makes visible is in
// doubt until Repository::publish_cluster(): withdraw() takes it back when the cluster backup is
// known to have failed, and nothing else does.
//
// One thread uses a writer at a time, but for store(). Memory: a buffer of
// a pack, and the list of files and extents (about 500 bytes a file and 64 an extent).
#pragma once

#include "sidecar/repository/repository.hpp"

#include <functional>
#include <mutex>
#include <set>

namespace hot_backup {

inline constexpr std::uint64_t default_extent_size = std::uint64_t{4} << 20;

// What tells a published manifest from any other.
struct PublishedManifest {
    Digest digest;  // in its seal
    std::uint64_t bytes = 0;
};

class BackupWriter;

// A file of the backup that is being written. Ends with close(); a file that is given up before
// makes the whole backup unpublishable. Outlived by its BackupWriter.
class FileWriter {
public:
    FileWriter(FileWriter&& other) noexcept;
    FileWriter& operator=(FileWriter&&) = delete;
    ~FileWriter();

    void append(std::string_view bytes);
    // The file is part of the backup.
    void close();
    // Bytes appended so far.
    std::uint64_t size() const noexcept { return entry_.size; }

private:
    friend class BackupWriter;
    FileWriter(BackupWriter& backup, FileEntry entry)
        : backup_(&backup), entry_(std::move(entry)) {}

    BackupWriter* backup_;  // null when moved from or closed
    FileEntry entry_;
};

class BackupWriter {
public:
    struct Options {
        std::uint64_t pack_size = default_pack_size;
        std::uint64_t extent_size = default_extent_size;
        // The ID of the cluster backup that this is a part of; empty: it is a backup of its own.
        std::string cluster_backup = {};
    };

    // Sweeps the repository and chooses the ID, of a part one above that of the cluster backup.
    // Repository and lock outlive the writer. Error failed: the ID of the cluster backup is taken
    // here.
    BackupWriter(const Repository& repository, const Lock& lock, Timestamp started = now());
    BackupWriter(const Repository& repository, const Lock& lock, Timestamp started,
                 Options options);
    ~BackupWriter();
    BackupWriter(const BackupWriter&) = delete;
    BackupWriter& operator=(const BackupWriter&) = delete;

    const std::string& id() const noexcept { return id_; }

    // Begins a file. The one before is closed. Error failed when the path is no path of a backup or
    // is taken.
    FileWriter add_file(std::string path, std::string kind, std::optional<Origin> origin = {});

    // Stores bytes (1 to max_extent_size) as an extent of their own. For files whose parts are
    // stored out of order, or again and again: add_entry() names the extents that count. May be
    // called by several threads at once, as long as none uses another function and no FileWriter is
    // open: the digest is computed side by side, the pack is written by one at a time. What is
    // stored and never named stays in the pack, unused.
    Extent store(std::string_view bytes);
    // A file of extents that store() returned or an earlier backup has, a directory or a symbolic
    // link. Errors as of add_file(), and when the format does not allow it: problem_of().
    void add_entry(FileEntry entry);

    // Makes the backup durable, then visible. Fills in `started`, `finished`, `files`, `bytes`,
    // `stored_bytes` and `packs`, and returns the whole. `after_sync` is called after each sync but
    // the last: a sync may take long on a busy disk, and who has a connection answers it there.
    // What it throws ends the backup. Error locked: the lock was removed meanwhile; failed: a part
    // of `summary` or of an origin is beyond what a manifest can say. The summary of a part has
    // `part`, and that of a backup of its own has none.
    Summary publish(
        Summary summary, Timestamp finished = now(),
        const std::function<void()>& after_sync = [] {});
    // After publish().
    const PublishedManifest& published() const noexcept { return published_; }
    // After publish() of a part: removes it again. Error failed: the manifest of its cluster backup
    // is here.
    void withdraw();

private:
    friend class FileWriter;
    enum class State { idle, writing_file, failed, published, withdrawn };
    class Step;

    struct ByPath {
        using is_transparent = void;
        bool operator()(const FileEntry& a, const FileEntry& b) const { return a.path < b.path; }
        bool operator()(const FileEntry& a, std::string_view b) const { return a.path < b; }
        bool operator()(std::string_view a, const FileEntry& b) const { return a < b.path; }
    };

    void check_path(const std::string& path) const;
    void append(FileEntry& entry, std::string_view bytes);
    void close(FileEntry entry);
    void check_kind(const Summary& summary) const;
    void fill_in(Summary& summary) const;
    void write_manifest(const Summary& summary);
    // Only a manifest that this program can read is published.
    void read_back() const;
    void discard();
    Path temporary_manifest() const;

    const Repository& repository_;
    FileSystem& file_system_;
    const Lock& lock_;
    Timestamp started_;
    Options options_;
    std::string id_;
    PackWriter packs_;
    std::set<FileEntry, ByPath> files_;
    std::mutex store_mutex_;  // of packs_ and state_, while store() runs
    State state_ = State::idle;
    // What ended store() in one thread is the error of all others too.
    std::optional<Error> store_error_;
    PublishedManifest published_;
    bool manifest_may_be_visible_ = false;
};

}  // namespace hot_backup

// The threads that write the content of files: they read extents, check and place them, while the
// one that adds files shows how far they are.
//
//     add() for each file; finish(); damaged()
//
// Large files are written by several threads at once, each a piece. Memory: one extent for each
// thread. One thread adds; what fails is thrown there, by the next call.
#pragma once

#include "sidecar/repository/file_reader.hpp"
#include "sidecar/restore/ownership.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace hot_backup {

// A file whose content could be read up to a place only.
struct DamagedFile {
    std::string path;  // within the backup
    Path place;
    std::uint64_t whole = 0;  // bytes before the damage: all that is written of it
    std::string reason;
};

class ContentWriter {
public:
    struct Options {
        unsigned threads = 2;
        bool salvage = false;       // damage is noted, not thrown
        bool write_through = true;  // the disk begins at once, so that a sync later is short
    };

    // All outlive the writer. `on_wait` is called several times a second while add() and finish()
    // wait, and at each add(), with the bytes written so far; what it throws ends the work.
    ContentWriter(const Repository& repository, std::string backup_id, const Ownership& ownership,
                  Options options, std::function<void(std::uint64_t done)> on_wait);
    // Drops what is not written yet.
    ~ContentWriter();
    ContentWriter(const ContentWriter&) = delete;
    ContentWriter& operator=(const ContentWriter&) = delete;

    // Makes a file at `place`, which does not exist, with the owner and the mode that it shall have
    // when it is whole. Error damaged: its bytes are not what was written.
    void add(const FileEntry& entry, const Path& place);
    // Returns when all is written.
    void finish();

    // With `salvage`; after finish().
    const std::vector<DamagedFile>& damaged() const noexcept { return damaged_; }

private:
    struct File;
    struct Piece {
        std::shared_ptr<File> file;
        FileEntry part;  // some of the file's extents
        std::uint64_t offset = 0;
    };

    void push(Piece piece);
    void wait(const std::function<bool()>& until);
    void run();
    std::optional<Piece> next();
    void write(const Piece& piece);
    void write_extents(const Piece& piece);
    void complete(File& file);

    const Repository& repository_;
    const std::string backup_id_;
    const Ownership& ownership_;
    const Options options_;
    const std::function<void(std::uint64_t)> on_wait_;

    std::atomic<std::uint64_t> done_ = 0;
    std::mutex mutex_;
    std::condition_variable work_;
    std::condition_variable progress_;
    std::deque<Piece> pieces_;
    std::size_t busy_ = 0;
    bool ended_ = false;
    std::exception_ptr failure_;
    std::vector<DamagedFile> damaged_;
    std::vector<std::thread> threads_;
};

}  // namespace hot_backup

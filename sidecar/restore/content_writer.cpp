#include "sidecar/restore/content_writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>

namespace hot_backup {
namespace {

// Enough that no thread waits for the manifest to be read on.
constexpr std::size_t max_pieces = 64;
// What a thread writes of a file before another piece: large files are shared, small ones are not.
constexpr std::uint64_t piece_size = std::uint64_t{64} << 20;
// Smaller writes are left to the sync at the end, which gathers them.
constexpr std::uint64_t written_through = std::uint64_t{256} << 10;
constexpr auto patience = std::chrono::milliseconds(100);

}  // namespace

struct ContentWriter::File {
    FileEntry entry;  // without its extents
    Path place;
    std::once_flag opened;
    Descriptor descriptor;
    std::atomic<std::size_t> pieces_left = 0;
    std::mutex mutex;
    std::uint64_t whole = std::numeric_limits<std::uint64_t>::max();  // all of it
    std::string reason;
};

ContentWriter::ContentWriter(const Repository& repository, std::string backup_id,
                             const Ownership& ownership, Options options,
                             std::function<void(std::uint64_t)> on_wait)
    : repository_(repository),
      backup_id_(std::move(backup_id)),
      ownership_(ownership),
      options_(options),
      on_wait_(std::move(on_wait)) {
    threads_.reserve(options_.threads);
    try {
        while (threads_.size() < options_.threads) {
            threads_.emplace_back([this] { run(); });
        }
    } catch (const std::system_error& error) {
        // Those that run do the work, too.
        if (threads_.empty()) {
            throw Error(ErrorCode::failed,
                        std::string("cannot start a thread that writes files: ") + error.what(),
                        "Raise the limit of processes and threads (ulimit -u).");
        }
    }
}

ContentWriter::~ContentWriter() {
    {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        pieces_.clear();
    }
    work_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

void ContentWriter::add(const FileEntry& entry, const Path& place) {
    auto file = std::make_shared<File>();
    file->place = place;
    file->entry = entry;
    file->entry.extents.clear();
    std::vector<Piece> pieces{{file, file->entry, 0}};
    std::uint64_t offset = 0;
    for (const Extent& extent : entry.extents) {
        if (offset - pieces.back().offset >= piece_size) {
            pieces.push_back({file, file->entry, offset});
        }
        pieces.back().part.extents.push_back(extent);
        offset += extent.size;
    }
    file->pieces_left = pieces.size();
    for (Piece& piece : pieces) {
        push(std::move(piece));
    }
    on_wait_(done_);
}

void ContentWriter::finish() {
    wait([this] { return pieces_.empty() && busy_ == 0; });
    on_wait_(done_);
    std::ranges::sort(damaged_, {}, &DamagedFile::path);
}

void ContentWriter::push(Piece piece) {
    wait([this] { return pieces_.size() < max_pieces; });
    {
        const std::lock_guard lock(mutex_);
        pieces_.push_back(std::move(piece));
    }
    work_.notify_one();
}

void ContentWriter::wait(const std::function<bool()>& until) {
    std::unique_lock lock(mutex_);
    while (!failure_ && !until()) {
        progress_.wait_for(lock, patience);
        lock.unlock();
        on_wait_(done_);
        lock.lock();
    }
    if (failure_) {
        std::rethrow_exception(failure_);
    }
}

void ContentWriter::run() {
    while (const auto piece = next()) {
        std::exception_ptr failure;
        try {
            write(*piece);
        } catch (...) {
            failure = std::current_exception();
        }
        {
            const std::lock_guard lock(mutex_);
            --busy_;
            if (failure && !failure_) {
                failure_ = failure;
                pieces_.clear();
            }
        }
        progress_.notify_one();
    }
}

std::optional<ContentWriter::Piece> ContentWriter::next() {
    std::unique_lock lock(mutex_);
    work_.wait(lock, [this] { return ended_ || !pieces_.empty(); });
    if (pieces_.empty()) {
        return std::nullopt;
    }
    Piece piece = std::move(pieces_.front());
    pieces_.pop_front();
    ++busy_;
    return piece;
}

void ContentWriter::write(const Piece& piece) {
    File& file = *piece.file;
    std::call_once(file.opened,
                   [&] { file.descriptor = open_target(file.place, O_RDWR | O_CREAT | O_EXCL); });
    write_extents(piece);
    if (--file.pieces_left == 0) {
        complete(file);
    }
}

void ContentWriter::write_extents(const Piece& piece) {
    File& file = *piece.file;
    FileReader reader(repository_, piece.part, backup_id_);
    std::uint64_t offset = piece.offset;
    try {
        while (const auto bytes = reader.next()) {
            write_at(file.descriptor, *bytes, offset, file.place);
            if (options_.write_through && bytes->size() >= written_through) {
                ::sync_file_range(file.descriptor.number(), static_cast<off_t>(offset),
                                  static_cast<off_t>(bytes->size()), SYNC_FILE_RANGE_WRITE);
            }
            offset += bytes->size();
            done_ += bytes->size();
        }
    } catch (const Error& error) {
        if (!options_.salvage && error.code() == ErrorCode::damaged) {
            throw Error(ErrorCode::damaged, error.what(),
                        "Use another backup, or add --salvage to restore what is whole.");
        }
        if (!options_.salvage || !is_damage(error)) {
            throw;
        }
        const std::lock_guard lock(file.mutex);
        if (offset < file.whole) {
            file.whole = offset;
            file.reason = error.what();
        }
    }
}

void ContentWriter::complete(File& file) {
    if (file.whole < file.entry.size) {
        if (::ftruncate(file.descriptor.number(), static_cast<off_t>(file.whole)) < 0) {
            throw target_error(errno, "shorten", file.place);
        }
        const std::lock_guard lock(mutex_);
        damaged_.push_back({file.entry.path, file.place, file.whole, file.reason});
    }
    ownership_.give(file.descriptor, file.place);
    const mode_t mode = file.entry.origin ? file.entry.origin->mode : 0600;
    if (::fchmod(file.descriptor.number(), mode) < 0) {
        throw target_error(errno, "set the permissions of", file.place);
    }
    file.descriptor = Descriptor();
}

}  // namespace hot_backup

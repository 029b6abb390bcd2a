// The system calls that the mutator makes, and where its chance comes from. What fails throws
// std::system_error: the mutator is alone on its tree, so nothing may.
#pragma once

#include "tests/capture/mutator/control.hpp"

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace mutator {

using Path = std::filesystem::path;

// The same numbers for the same seed.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next();
    // From 0 to `bound` - 1.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    std::uint64_t between(std::uint64_t first, std::uint64_t last) {
        return first + below(last - first + 1);
    }
    bool one_in(std::uint64_t number) { return below(number) == 0; }
    // Bytes that no other call returns.
    std::string bytes(std::size_t size);
    // As long as a message: mostly short, rarely some kilobytes.
    std::string message();

private:
    std::uint64_t state_;
};

// What every part of a thread's play has: its chance, and where it says what it did.
struct Scene {
    Random& random;
    Control& control;

    void did(Behaviour behaviour) const {
        control.counts.at(static_cast<std::size_t>(behaviour)).fetch_add(1);
        control.mutations.fetch_add(1);
    }
};

// A file that stays open, as RabbitMQ keeps those it writes to.
class OpenFile {
public:
    // Opens the file, or makes it.
    explicit OpenFile(const Path& path, mode_t mode = 0640);
    OpenFile(OpenFile&& other) noexcept;
    OpenFile& operator=(OpenFile&& other) noexcept;
    ~OpenFile();

    std::uint64_t size() const;
    void write_at(std::uint64_t offset, std::string_view bytes);
    void append(std::string_view bytes) { write_at(size(), bytes); }
    // In up to three writes, between which the mutator may be stopped.
    void append_in_pieces(Random& random, std::string_view bytes);
    void truncate(std::uint64_t size);

private:
    int fd_;
};

void make_directory(const Path& path);
void remove_file(const Path& path);
void remove_tree(const Path& path);
void rename_path(const Path& from, const Path& to);
void make_symlink(const Path& target, const Path& path);
void change_mode(const Path& path, mode_t mode);
// Writes a file beside it, then renames that into its place.
void replace_file(const Path& path, std::string_view content);

}  // namespace mutator

#include "tests/capture/mutator/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>

namespace mutator {

namespace {

void check(bool succeeded, const char* action, const Path& path) {
    if (!succeeded) {
        throw std::system_error(errno, std::generic_category(),
                                std::string("cannot ") + action + ' ' + path.string());
    }
}

}  // namespace

std::uint64_t Random::next() {
    // SplitMix64.
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31U);
}

std::string Random::bytes(std::size_t size) {
    std::string bytes(size, '\0');
    for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
        const std::uint64_t word = next();
        std::memcpy(bytes.data() + at, &word, std::min(sizeof word, size - at));
    }
    return bytes;
}

std::string Random::message() {
    return bytes(one_in(24) ? between(2000, 12000) : between(20, 400));
}

OpenFile::OpenFile(const Path& path, mode_t mode)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode)) {
    check(fd_ >= 0, "open", path);
}

OpenFile::OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

OpenFile::~OpenFile() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

std::uint64_t OpenFile::size() const {
    struct stat status {};
    check(::fstat(fd_, &status) == 0, "look at", "an open file");
    return static_cast<std::uint64_t>(status.st_size);
}

void OpenFile::write_at(std::uint64_t offset, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written =
            ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
        check(written > 0, "write to", "an open file");
        bytes.remove_prefix(static_cast<std::size_t>(written));
        offset += static_cast<std::uint64_t>(written);
    }
}

void OpenFile::append_in_pieces(Random& random, std::string_view bytes) {
    for (int cuts = 0; cuts < 2 && !bytes.empty(); ++cuts) {
        const std::size_t length = random.below(bytes.size() + 1);
        append(bytes.substr(0, length));
        bytes.remove_prefix(length);
    }
    append(bytes);
}

void OpenFile::truncate(std::uint64_t size) {
    check(::ftruncate(fd_, static_cast<off_t>(size)) == 0, "truncate", "an open file");
}

void make_directory(const Path& path) {
    check(::mkdir(path.c_str(), 0750) == 0, "make directory", path);
}

void remove_file(const Path& path) {
    check(::unlink(path.c_str()) == 0, "remove", path);
}

void remove_tree(const Path& path) {
    std::filesystem::remove_all(path);
}

void rename_path(const Path& from, const Path& to) {
    check(::rename(from.c_str(), to.c_str()) == 0, "rename", from);
}

void make_symlink(const Path& target, const Path& path) {
    check(::symlink(target.c_str(), path.c_str()) == 0, "make symbolic link", path);
}

void change_mode(const Path& path, mode_t mode) {
    check(::chmod(path.c_str(), mode) == 0, "change the mode of", path);
}

void replace_file(const Path& path, std::string_view content) {
    Path temporary = path;
    temporary += ".tmp";
    OpenFile(temporary).append(content);
    rename_path(temporary, path);
}

}  // namespace mutator

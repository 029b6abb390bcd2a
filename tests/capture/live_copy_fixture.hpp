// A node's directory that tests of LiveCopy change step by step, and what they see of the copy.
#pragma once

#include "tests/capture/image.hpp"
#include "tests/harness/temp_dir.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/capture/live_copy.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

namespace capture_test {

// Bytes that repeat nowhere, other ones for each `seed`.
inline std::string bytes_of(std::size_t size, std::uint64_t seed = 1) {
    std::string bytes(size, '\0');
    std::uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
    for (char& byte : bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<char>(state >> 24);
    }
    return bytes;
}

class Node {
public:
    Node() { std::filesystem::create_directories(data()); }

    std::filesystem::path data() const { return directory_ / "data"; }
    std::filesystem::path outside() const { return directory_.path(); }
    std::filesystem::path path(const std::string& name) const { return data() / name; }

    // Makes or truncates.
    void write(const std::string& name, std::string_view content) const {
        std::filesystem::create_directories(path(name).parent_path());
        std::ofstream(path(name), std::ios::binary | std::ios::trunc) << content;
    }
    void append(const std::string& name, std::string_view content) const {
        std::ofstream(path(name), std::ios::binary | std::ios::app) << content;
    }
    void overwrite(const std::string& name, std::uint64_t offset, std::string_view content) const {
        std::fstream file(path(name), std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(offset));
        file << content;
    }
    // A new file of that name, in place of the old one.
    void replace(const std::string& name, std::string_view content) const {
        write(name + ".new", content);
        std::filesystem::rename(path(name + ".new"), path(name));
    }

    std::vector<hot_backup::CaptureRoot> roots() const { return {{"data", data()}}; }
    Image image() const { return read_tree(roots(), {}); }

private:
    harness::TempDir directory_;
};

// A copy of a node's directory.
class Copy {
public:
    explicit Copy(const Node& node, hot_backup::CopyOptions options = small_blocks())
        : copy_(node.roots(), {}, store_.store_block(), options) {}

    static hot_backup::CopyOptions small_blocks() {
        hot_backup::CopyOptions options;
        options.block_size = 4096;
        return options;
    }

    hot_backup::LiveCopy& operator*() { return copy_; }
    hot_backup::LiveCopy* operator->() { return &copy_; }

    hot_backup::Pass pass() {
        return copy_.pass([](const hot_backup::PassProgress&) {});
    }
    // How many bytes a pass stores, beside what it reads.
    std::uint64_t stored_by_pass() {
        const std::uint64_t before = store_.bytes();
        pass();
        return store_.bytes() - before;
    }
    hot_backup::Cut cut() {
        return copy_.cut(hot_backup::LiveCopy::Clock::now() + std::chrono::seconds(60));
    }
    Image finish() {
        copy_.finish([](const hot_backup::PassProgress&) {});
        return image_of(copy_.take_entries(), reader_of(store_));
    }

private:
    MemoryStore store_;
    hot_backup::LiveCopy copy_;
};

// The message and the hint.
template <class Action>
std::pair<std::string, std::string> error_of(Action action) {
    try {
        action();
    } catch (const hot_backup::Error& error) {
        return {error.what(), error.hint()};
    }
    return {};
}

// Whatever is refused is named, and there is something to do about it.
template <class Action>
void check_refused(const std::string& named, Action action) {
    const auto [message, hint] = error_of(action);
    CHECK_THAT(message, Catch::Contains(named));
    CHECK(hint.ends_with("."));
}

}  // namespace capture_test

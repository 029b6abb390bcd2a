// The memory that a cut reads into: there before the node is stopped, so that nothing is allocated
// while it stands still.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace hot_backup {

class Arena {
public:
    // Reserves addresses, no memory yet.
    explicit Arena(std::uint64_t capacity);
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    // Has the kernel give the first `size` bytes (at most all of them) now: taken for the first
    // time, memory costs a page fault for each 4 KiB.
    void prefault(std::uint64_t size);

    std::uint64_t capacity() const noexcept { return capacity_; }
    // The next `size` bytes, of undefined content. There must be so many left.
    std::span<char> take(std::uint64_t size) noexcept;
    // All of it may be taken again.
    void reset() noexcept { used_ = 0; }

private:
    char* memory_ = nullptr;
    std::uint64_t capacity_ = 0;
    std::uint64_t used_ = 0;
    std::uint64_t faulted_ = 0;
};

}  // namespace hot_backup

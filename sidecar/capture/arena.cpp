#include "sidecar/capture/arena.hpp"

#include "erlang_port/error.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace hot_backup {

Arena::Arena(std::uint64_t capacity) : capacity_(capacity) {
    if (capacity == 0) {
        return;
    }
    void* memory = ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        throw Error(ErrorCode::failed,
                    "cannot reserve " + std::to_string(capacity >> 20) +
                        " MiB of memory: " + std::generic_category().message(errno),
                    "Give the backup more memory, or a smaller part of it to the cut.");
    }
    memory_ = static_cast<char*>(memory);
}

Arena::~Arena() {
    if (memory_ != nullptr) {
        ::munmap(memory_, capacity_);
    }
}

void Arena::prefault(std::uint64_t size) {
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    for (; faulted_ < std::min(size, capacity_); faulted_ += page) {
        *static_cast<volatile char*>(memory_ + faulted_) = 0;
    }
}

std::span<char> Arena::take(std::uint64_t size) noexcept {
    const std::span<char> taken(memory_ + used_, size);
    used_ += size;
    return taken;
}

}  // namespace hot_backup

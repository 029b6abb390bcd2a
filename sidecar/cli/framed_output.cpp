#include "sidecar/cli/framed_output.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/engine/interrupt.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

namespace hot_backup {
namespace {

constexpr std::size_t max_frame = std::size_t{256} << 10;

// Calls until a signal is no reason to stop.
template <class Call>
auto retry(Call call) {
    for (;;) {
        throw_if_interrupted();
        const auto result = call();
        if (result >= 0 || errno != EINTR) {
            return result;
        }
    }
}

void wait_for_demand() {
    char byte = 0;
    const auto got = retry([&] { return ::read(STDIN_FILENO, &byte, 1); });
    if (got <= 0) {
        throw Error(ErrorCode::interrupted, "the program that reads the frames has gone away",
                    "It ends standard input when it wants no more.");
    }
}

void write_all(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto written =
            retry([&] { return ::write(STDOUT_FILENO, bytes.data(), bytes.size()); });
        if (written < 0) {
            throw Error(ErrorCode::failed,
                        "cannot write to standard output: " + std::system_category().message(errno),
                        "Check that the program it goes to takes all of it.");
        }
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace

void FramedOutput::write(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto size = std::min(bytes.size(), max_frame);
        write_frame(bytes.substr(0, size));
        bytes.remove_prefix(size);
    }
}

void FramedOutput::write_frame(std::string_view bytes) {
    wait_for_demand();
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::array<char, 4> header{};
    for (std::size_t i = 0; i < header.size(); ++i) {
        header[i] = static_cast<char>((size >> (24 - 8 * i)) & 0xFFU);
    }
    write_all({header.data(), header.size()});
    write_all(bytes);
}

}  // namespace hot_backup

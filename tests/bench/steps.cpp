#include "tests/bench/steps.hpp"

#include "erlang_port/error.hpp"

#include <unistd.h>

#include <chrono>
#include <filesystem>

namespace bench {

void check(const harness::Result& result, const std::string& what) {
    if (result.exit_code != 0) {
        throw hot_backup::Error(hot_backup::ErrorCode::failed,
                                what + " failed: " + result.output + result.error_output);
    }
}

harness::Result checked(const std::string& program, const std::vector<std::string>& arguments) {
    auto result = harness::run(program, arguments, {}, std::chrono::minutes(10));
    check(result, program);
    return result;
}

void settle(const harness::Broker& broker, std::size_t megabytes) {
    const auto filler = broker.directory() / "bench.filler";
    checked("dd", {"if=/dev/zero", "of=" + filler.string(), "bs=1M",
                   "count=" + std::to_string(megabytes)});
    std::filesystem::remove(filler);
    ::sync();
}

}  // namespace bench

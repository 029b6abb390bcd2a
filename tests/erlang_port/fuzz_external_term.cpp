// libFuzzer: whatever the bytes are, they are refused with an Error or decode to a term that
// encodes and decodes to itself.
#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <cstdint>
#include <cstdlib>

using namespace erlang;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    // NOLINTNEXTLINE: the interface gives bytes, terms are read from characters.
    const std::string_view message(reinterpret_cast<const char*>(data), size);
    try {
        const auto term = decode_message(message);
        to_string(term);
        std::string again;
        encode_message(term, again);
        if (!(decode_message(again) == term)) {
            std::abort();
        }
        for (ListReader items(message); auto item = items.next();) {
            decode_item(*item);
        }
    } catch (const hot_backup::Error&) {
    }
    return 0;
}

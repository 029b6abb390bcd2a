#include "tests/erlang_port/recorded.hpp"

#include <charconv>
#include <fstream>
#include <stdexcept>

namespace recorded {

std::string from_hex(std::string_view digits) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        unsigned byte = 0;
        const auto* end = digits.data() + i + 2;
        if (std::from_chars(digits.data() + i, end, byte, 16).ptr != end) {
            throw std::invalid_argument("not hexadecimal: " + std::string(digits));
        }
        bytes.push_back(static_cast<char>(byte));
    }
    return bytes;
}

std::string to_hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        text += {digits[byte >> 4], digits[byte & 15]};
    }
    return text;
}

std::filesystem::path terms_file() {
    return std::filesystem::path(TESTS_DIR) / "erlang_port" / "terms.txt";
}

std::filesystem::path messages_file() {
    return std::filesystem::path(TESTS_DIR) / "protocol" / "messages.txt";
}

std::filesystem::path recorder() {
    return std::filesystem::path(TESTS_DIR) / "protocol" / "record.escript";
}

std::vector<Example> load(const std::filesystem::path& file) {
    std::ifstream stream(file);
    if (!stream) {
        throw std::runtime_error("cannot open " + file.string());
    }
    std::vector<Example> examples;
    for (std::string line; std::getline(stream, line);) {
        if (line.empty() || line.front() == '%') {
            continue;
        }
        const auto last = line.rfind('|');
        Example example;
        example.bytes = from_hex(std::string_view(line).substr(last + 1));
        example.text = line.substr(0, last);
        if (file.filename() == messages_file().filename()) {
            const auto first = line.find('|');
            const auto second = line.find('|', first + 1);
            example.name = line.substr(0, first);
            example.direction = line.substr(first + 1, second - first - 1);
            example.text = line.substr(second + 1, last - second - 1);
        }
        examples.push_back(example);
    }
    return examples;
}

std::string message(std::string_view name) {
    for (const auto& example : load(messages_file())) {
        if (example.name == name) {
            return example.bytes;
        }
    }
    throw std::out_of_range("no recorded message " + std::string(name));
}

}  // namespace recorded

#include "sidecar/definitions/each_definition.hpp"

#include <ostream>
#include <streambuf>
#include <string>

namespace hot_backup {
namespace {

using Consume = std::function<void(std::string_view, std::string_view)>;

// Takes the document as it is written, a definition a line (definitions.hpp).
class DefinitionLines final : public std::streambuf {
public:
    explicit DefinitionLines(const Consume& consume) : consume_(consume) {}

private:
    int_type overflow(int_type character) override {
        const char byte = traits_type::to_char_type(character);
        xsputn(&byte, 1);
        return character;
    }

    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
        std::string_view rest(bytes, static_cast<std::size_t>(count));
        for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
            line_.append(rest.substr(0, end));
            take(line_);
            line_.clear();
            rest.remove_prefix(end + 1);
        }
        line_.append(rest);
        return count;
    }

    // A definition, or what stands between two sections and ends with the name of the next one.
    void take(std::string_view line) {
        if (line.ends_with("\":[")) {
            line.remove_suffix(3);
            section_ = line.substr(line.rfind('"') + 1);
        } else if (line.starts_with('{')) {
            consume_(section_, line.ends_with(',') ? line.substr(0, line.size() - 1) : line);
        }
    }

    const Consume& consume_;
    std::string line_;
    std::string section_;
};

}  // namespace

void for_each_definition(Snapshot& snapshot, const DefinitionsHeader& header,
                         const Consume& consume) {
    DefinitionLines lines(consume);
    std::ostream out(&lines);
    // What is thrown while it is written is thrown on, not turned into a state of the stream.
    out.exceptions(std::ios::badbit);
    write_definitions(snapshot, header, out);
}

}  // namespace hot_backup

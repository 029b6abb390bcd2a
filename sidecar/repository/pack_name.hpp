// The name of a pack, ID.NNNN, as extents hold it.
//
// A backup of many queues has a million extents in a few packs, and all of them are in memory until
// it is published: so they share one copy of the name. Immutable, and safe to copy in any thread.
#pragma once

#include <memory>
#include <string>
#include <utility>

namespace hot_backup {

class PackName {
public:
    PackName() = default;  // of no pack: empty
    PackName(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
    PackName(const char* text) : PackName(std::string(text)) {}

    const std::string& text() const noexcept {
        static const std::string none;
        return text_ ? *text_ : none;
    }
    operator const std::string&() const noexcept { return text(); }

    bool operator==(const PackName& other) const noexcept {
        return text_ == other.text_ || text() == other.text();
    }
    bool operator==(const std::string& other) const noexcept { return text() == other; }

private:
    std::shared_ptr<const std::string> text_;
};

}  // namespace hot_backup

// Which files are to be copied, in the order in which that became known.
//
// A file that is gone keeps its place until it would be handed out, or until such places are more
// than half of all: a node that makes and deletes files all the time costs neither memory nor time
// within a cut.
#pragma once

#include "sidecar/capture/file_copy.hpp"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace hot_backup {

struct Directory;

struct NodeFile {
    Directory* directory = nullptr;  // none any more when the file is gone
    std::string name;
    CopyRule rule = CopyRule::in_place;
    std::uint64_t mark = 0;  // its number in DirtyFiles; 0: it is not there
    FileCopyPtr copy;
};
using NodeFilePtr = std::shared_ptr<NodeFile>;

class DirtyFiles {
public:
    // Of the mark made last. The numbers of marks only rise.
    std::uint64_t last() const noexcept { return last_; }
    // Does nothing when the file is marked, or gone.
    void mark(const NodeFilePtr& file);
    // The next file, without its mark; nothing when there is none that was marked at `until` or
    // before.
    NodeFilePtr take(std::uint64_t until);
    // Takes note that a file, marked or not, has just lost its directory.
    void lost(const NodeFile& file) noexcept;
    // All of them, with their marks.
    std::vector<NodeFilePtr> all() const;
    // With those that are gone.
    std::size_t places() const noexcept { return files_.size(); }

private:
    std::deque<NodeFilePtr> files_;
    std::size_t gone_ = 0;  // of them
    std::uint64_t last_ = 0;
};

}  // namespace hot_backup

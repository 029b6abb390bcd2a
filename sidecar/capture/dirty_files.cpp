#include "sidecar/capture/dirty_files.hpp"

#include <algorithm>
#include <iterator>

namespace hot_backup {
namespace {

// So many cost too little to look for them.
constexpr std::size_t few_gone = 4096;

bool is_gone(const NodeFilePtr& file) noexcept {
    return file->directory == nullptr;
}

}  // namespace

void DirtyFiles::mark(const NodeFilePtr& file) {
    if (file->mark == 0 && !is_gone(file)) {
        files_.push_back(file);
        file->mark = ++last_;
    }
}

NodeFilePtr DirtyFiles::take(std::uint64_t until) {
    while (!files_.empty() && files_.front()->mark <= until) {
        NodeFilePtr file = std::move(files_.front());
        files_.pop_front();
        file->mark = 0;
        if (!is_gone(file)) {
            return file;
        }
        --gone_;
    }
    return nullptr;
}

void DirtyFiles::lost(const NodeFile& file) noexcept {
    if (file.mark == 0) {
        return;
    }
    ++gone_;
    if (gone_ > few_gone && gone_ > files_.size() / 2) {
        std::erase_if(files_, is_gone);
        gone_ = 0;
    }
}

std::vector<NodeFilePtr> DirtyFiles::all() const {
    std::vector<NodeFilePtr> files;
    files.reserve(files_.size() - gone_);
    std::remove_copy_if(files_.begin(), files_.end(), std::back_inserter(files), is_gone);
    return files;
}

}  // namespace hot_backup

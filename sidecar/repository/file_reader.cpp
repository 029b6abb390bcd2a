#include "sidecar/repository/file_reader.hpp"

#include "sidecar/repository/identifier.hpp"

namespace hot_backup {

FileReader::FileReader(const Repository& repository, FileEntry entry, std::string backup_id)
    : repository_(repository), entry_(std::move(entry)), backup_id_(std::move(backup_id)) {
    if (backup_id_.empty() && !entry_.extents.empty()) {
        backup_id_ = backup_of_pack(entry_.extents.back().pack.text());
    }
}

std::optional<std::string_view> FileReader::next() {
    if (next_extent_ == entry_.extents.size()) {
        return std::nullopt;
    }
    const Extent& extent = entry_.extents[next_extent_];
    if (extent.encoding) {
        throw Error(ErrorCode::failed,
                    entry_.path + " is stored with codec \"" + extent.encoding->codec +
                        "\", which this program does not know",
                    "Upgrade rabbitmq-hot-backup: a newer one wrote this.");
    }
    try {
        if (!pack_ || pack_->name() != extent.pack) {
            pack_.reset();
            pack_.emplace(repository_.open_pack(extent.pack.text()));
        }
        const std::string_view bytes = pack_->read(extent);
        ++next_extent_;
        return bytes;
    } catch (const Error& error) {
        // A deletion removes the manifest before the packs.
        if (error.code() == ErrorCode::not_found && !repository_.has_backup(backup_id_)) {
            throw repository_.deleted_error(backup_id_, "read");
        }
        if (error.code() == ErrorCode::damaged || error.code() == ErrorCode::not_found) {
            throw Error(ErrorCode::damaged, entry_.path + " is damaged: " + error.what(),
                        "Run `verify` to see all that is damaged, and use another backup.");
        }
        throw;
    }
}

}  // namespace hot_backup

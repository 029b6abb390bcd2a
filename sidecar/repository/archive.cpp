#include "sidecar/repository/archive.hpp"

#include "sidecar/repository/marks.hpp"
#include "sidecar/repository/tar.hpp"

#include <algorithm>

namespace hot_backup {
namespace {

constexpr std::size_t buffer_size = std::size_t{1} << 20;
// A mark that goes along has at most a log's two hundred lines; what is longer is none.
constexpr std::size_t max_mark_size = std::size_t{1} << 20;

// Makes few pieces of many small ones.
class Gatherer {
public:
    explicit Gatherer(const Archive::Sink& sink) : sink_(sink) {}

    void take(std::string_view bytes) {
        if (buffer_.size() + bytes.size() > buffer_size) {
            flush();
        }
        if (bytes.size() < buffer_size) {
            buffer_ += bytes;
        } else {
            sink_(bytes);
        }
    }
    void flush() {
        if (!buffer_.empty()) {
            sink_(buffer_);
            buffer_.clear();
        }
    }

private:
    const Archive::Sink& sink_;
    std::string buffer_;
};

Error damaged(const Path& path, const std::string& reason) {
    return {ErrorCode::damaged, path.string() + " is damaged: " + reason,
            "Run `verify` to see all that is damaged, and use another backup."};
}

}  // namespace

Archive::Archive(const Repository& repository, const std::string& backup_id)
    : repository_(repository), backup_id_(backup_id), name_("rabbitmq-hot-backup-" + backup_id) {
    choose_manifests();
    for (const std::string& manifest_id : manifests_) {
        read_manifest(manifest_id);
    }
    measure_packs();
    bytes_ = tar_end().size();
    add("", 0, {});
    add_packs();
    add_marks();
    add_manifests();
    // Last, as in a repository: what was unpacked of half an archive is none.
    add_text("repository.json", repository_description({random_uuid(), now()}));
}

void Archive::choose_manifests() {
    if (!repository_.has_cluster(backup_id_)) {
        manifests_ = {backup_id_};
        const auto whole = repository_.cluster_of(backup_id_);
        if (whole && repository_.has_cluster(*whole)) {
            cluster_id_ = *whole;
        }
        return;
    }
    cluster_id_ = backup_id_;
    for (const ClusterPart& part : repository_.read_cluster(cluster_id_).parts) {
        if (!repository_.has_part(part)) {
            throw Error(ErrorCode::not_found,
                        "the part of " + part.node + ", " + part.backup +
                            ", is not in repository " + repository_.directory().string(),
                        "Archive each part by its own ID, in the repository that has it; this one "
                        "was made in " +
                            part.path + " on host " + part.host + '.');
        }
        manifests_.push_back(part.backup);
    }
    std::sort(manifests_.begin(), manifests_.end());
}

void Archive::read_manifest(const std::string& manifest_id) {
    ManifestReader manifest = repository_.read_manifest(manifest_id);
    mtime_ = manifest.summary().finished;
    for (const PackSize& pack : manifest.summary().packs) {
        packs_[pack.name].bytes = pack.bytes;
    }
    while (const auto entry = manifest.next_file()) {
        for (const Extent& extent : entry->extents) {
            packs_[extent.pack].pieces.push_back({extent.offset,
                                                  static_cast<std::uint32_t>(extent.stored_size()),
                                                  extent.stored_digest()});
        }
    }
    for (auto& [name, pack] : packs_) {
        auto& pieces = pack.pieces;
        std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
            return a.offset != b.offset ? a.offset < b.offset : a.size < b.size;
        });
        pieces.erase(std::unique(pieces.begin(), pieces.end()), pieces.end());
    }
}

void Archive::measure_packs() {
    for (auto& [name, pack] : packs_) {
        const auto status = repository_.file_system().status(repository_.pack_path(name));
        if (!status) {
            if (!repository_.has_backup(backup_id_)) {
                throw repository_.deleted_error(backup_id_, "read");
            }
            throw damaged(repository_.pack_path(name), "it is missing");
        }
        // The length of an earlier backup's pack is not in this manifest.
        if (pack.bytes != 0 && pack.bytes != status->size) {
            throw damaged(repository_.pack_path(name), "it has " + std::to_string(status->size) +
                                                           " bytes instead of " +
                                                           std::to_string(pack.bytes));
        }
        pack.bytes = status->size;
    }
}

void Archive::add(std::string path, std::uint64_t size,
                  std::function<void(const Sink&)> write_content) {
    Member member{name_ + '/' + std::move(path), size, std::move(write_content)};
    bytes_ += tar_header({member.path, size, mtime_}).size() + size + tar_padding(size);
    members_.push_back(std::move(member));
}

void Archive::add_text(std::string path, std::string text) {
    const auto size = text.size();
    add(std::move(path), size, [text = std::move(text)](const Sink& sink) { sink(text); });
}

void Archive::add_packs() {
    add("packs/", 0, {});
    for (const auto& [name, pack] : packs_) {
        add("packs/" + repository_.pack_path(name).filename().string(), pack.bytes,
            [this, &name = name, &pack = pack](const Sink& sink) { write_pack(name, pack, sink); });
    }
}

void Archive::add_marks() {
    std::map<std::string, std::string> marks;
    for (const std::string& name : list_marks(repository_, backup_id_)) {
        // What was found of the files here says nothing of those that will be unpacked.
        if (!name.ends_with(".protected") && !name.ends_with(".log")) {
            continue;
        }
        try {
            const auto file = repository_.file_system().open(repository_.marks() / name);
            std::string text(std::min<std::uint64_t>(file->status().size, max_mark_size), '\0');
            text.resize(file->read_at(0, text));
            marks.emplace(name, std::move(text));
        } catch (const Error&) {
            // Removed meanwhile, or unreadable: the backup is worth having without it.
        }
    }
    if (marks.empty()) {
        return;
    }
    add("marks/", 0, {});
    for (auto& [name, text] : marks) {
        add_text("marks/" + name, std::move(text));
    }
}

void Archive::add_manifests() {
    const auto add_sealed = [&](const char* directory, const Path& path) {
        const auto status = repository_.file_system().status(path);
        if (!status) {
            throw repository_.deleted_error(backup_id_, "read");
        }
        add(directory + path.filename().string(), status->size,
            [this, path, size = status->size](const Sink& sink) {
                write_sealed(path, size, sink);
            });
    };
    add("manifests/", 0, {});
    for (const std::string& manifest_id : manifests_) {
        add_sealed("manifests/", repository_.manifest_path(manifest_id));
    }
    if (!cluster_id_.empty()) {
        add("clusters/", 0, {});
        add_sealed("clusters/", repository_.cluster_path(cluster_id_));
    }
}

void Archive::write(const Sink& sink) const {
    Gatherer gatherer(sink);
    const Sink gather = [&](std::string_view bytes) { gatherer.take(bytes); };
    try {
        for (const Member& member : members_) {
            gather(tar_header({member.path, member.size, mtime_}));
            if (member.write_content) {
                member.write_content(gather);
            }
            gather(std::string(tar_padding(member.size), '\0'));
        }
    } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found && !repository_.has_backup(backup_id_)) {
            throw repository_.deleted_error(backup_id_, "read");
        }
        throw;
    }
    gather(tar_end());
    gatherer.flush();
}

// What no extent of this backup covers, another one may need: it goes along as it is.
void Archive::write_pack(const std::string& pack_name, const Pack& pack, const Sink& sink) const {
    const Path path = repository_.pack_path(pack_name);
    PackReader reader = repository_.open_pack(pack_name);
    if (!reader.header_problem().empty()) {
        throw damaged(path, reader.header_problem());
    }
    if (reader.size() != pack.bytes) {
        throw damaged(path, "its length has changed");
    }
    sink(pack_header(pack_name));
    std::uint64_t done = pack_header_size;
    const auto write_unnamed_until = [&](std::uint64_t end) {
        while (done < end) {
            const auto bytes =
                reader.read_unchecked(done, std::min<std::uint64_t>(end - done, buffer_size));
            sink(bytes);
            done += bytes.size();
        }
    };
    const PackName name(pack_name);
    for (const Piece& piece : pack.pieces) {
        write_unnamed_until(piece.offset);
        const auto bytes = reader.read({name, piece.offset, piece.size, piece.digest, nullptr});
        if (piece.offset + piece.size > done) {
            sink(bytes.substr(done - piece.offset));
            done = piece.offset + piece.size;
        }
    }
    write_unnamed_until(pack.bytes);
}

void Archive::write_sealed(const Path& path, std::uint64_t size, const Sink& sink) const {
    const auto file = repository_.file_system().open(path);
    const std::uint64_t text_size = size - seal_size;
    Checksum checksum;
    std::string buffer;
    const auto read = [&](std::uint64_t offset, std::uint64_t count) {
        buffer.resize(count);
        if (file->read_at(offset, buffer) != count) {
            throw damaged(path, "it became shorter while it was read");
        }
    };
    for (std::uint64_t done = 0; done < text_size; done += buffer.size()) {
        read(done, std::min<std::uint64_t>(text_size - done, buffer_size));
        checksum.update(buffer);
        sink(buffer);
    }
    read(text_size, seal_size);
    if (buffer != seal_line(checksum.digest())) {
        throw damaged(path, "its content does not match its seal");
    }
    sink(buffer);
}

}  // namespace hot_backup

// A backup as one stream: a tar archive of a repository that holds just this backup and whether it
// is protected. A part of a cluster backup takes the manifest of the whole along. Unpacked
// anywhere, it is verified and restored as any other.
#pragma once

#include "sidecar/repository/repository.hpp"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hot_backup {

class Archive {
public:
    using Sink = std::function<void(std::string_view)>;

    // Of a backup of a node, of a cluster with all of its parts, or of a part. Reads the manifests
    // through; the repository outlives the archive. Errors as of ManifestReader; not_found: a part
    // of the cluster backup is not in the repository; damaged: a pack is missing or has another
    // length. Memory: 32 bytes an extent.
    Archive(const Repository& repository, const std::string& backup_id);

    // The name of the directory in it: "rabbitmq-hot-backup-ID".
    const std::string& name() const noexcept { return name_; }
    // The exact length of the tar.
    std::uint64_t bytes() const noexcept { return bytes_; }

    // Hands out the tar in pieces of at most 17 MiB. Every extent and the manifest are checked
    // before their last byte is handed out. Error damaged: something is not what was written; the
    // tar ends before its end then. Error not_found: the backup was deleted meanwhile.
    void write(const Sink& sink) const;

private:
    // What a manifest names of a pack. An Extent would take twice the memory.
    struct Piece {
        std::uint64_t offset = 0;
        std::uint32_t size = 0;
        Digest digest;
        bool operator==(const Piece&) const = default;
    };
    struct Pack {
        std::uint64_t bytes = 0;
        std::vector<Piece> pieces;  // by offset
    };
    struct Member {
        std::string path;
        std::uint64_t size = 0;
        std::function<void(const Sink&)> write_content;
    };

    // Chooses what goes along.
    void choose_manifests();
    void read_manifest(const std::string& manifest_id);
    void measure_packs();
    void add(std::string path, std::uint64_t size, std::function<void(const Sink&)> write_content);
    void add_text(std::string path, std::string text);
    void add_packs();
    void add_marks();
    void write_pack(const std::string& pack_name, const Pack& pack, const Sink& sink) const;
    void add_manifests();
    void write_sealed(const Path& path, std::uint64_t size, const Sink& sink) const;

    const Repository& repository_;
    std::string backup_id_;
    std::string name_;
    std::vector<std::string> manifests_;  // of nodes
    std::string cluster_id_;              // whose manifest goes along; empty: none
    Timestamp mtime_;
    std::map<std::string, Pack> packs_;
    std::vector<Member> members_;
    std::uint64_t bytes_ = 0;
};

}  // namespace hot_backup

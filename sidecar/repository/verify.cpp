#include "sidecar/repository/verify.hpp"

#include "sidecar/repository/identifier.hpp"

#include <cerrno>
#include <map>

namespace hot_backup {
namespace {

class Verification {
public:
    Verification(const Repository& repository, const std::string& backup_id,
                 const VerifyCallbacks& callbacks)
        : repository_(repository), callbacks_(callbacks) {
        report_.backup_id = backup_id;
    }

    VerifyReport run() {
        try {
            ManifestReader manifest = repository_.read_manifest(report_.backup_id);
            total_ = manifest.summary().stored_bytes;
            check_made_packs(manifest.summary().packs);
            while (const auto entry = manifest.next_file()) {
                check_file(*entry);
            }
        } catch (const Error& error) {
            if (!is_damage(error)) {
                throw;
            }
            add({Finding::What::manifest,
                 "manifests/" + report_.backup_id + ".manifest",
                 {},
                 0,
                 0,
                 error.what()});
        }
        if (!report_.whole()) {
            refuse_if_deleted();
        }
        return std::move(report_);
    }

private:
    void add(Finding finding) { report_.findings.push_back(std::move(finding)); }

    void add_pack(const std::string& name, const std::string& reason) {
        add({Finding::What::pack, "packs/" + name + ".pack", {}, 0, 0, reason});
    }

    // Opens the pack, unless it is open, and checks its header the first time. Null when it cannot
    // be opened: then `broken_` has the reason, and the finding is made.
    PackReader* open_pack(const std::string& name) {
        if (pack_ && pack_->name() == name) {
            return &*pack_;
        }
        if (broken_.contains(name)) {
            return nullptr;
        }
        pack_.reset();
        try {
            pack_.emplace(repository_.open_pack(name, PackReader::From::disk));
        } catch (const Error& error) {
            if (!is_damage(error) && error.code() != ErrorCode::not_found) {
                throw;
            }
            broken_[name] = error.code() == ErrorCode::not_found ? "pack is missing" : error.what();
            add_pack(name, broken_[name]);
            return nullptr;
        }
        if (checked_.insert(name).second && !pack_->header_problem().empty()) {
            add_pack(name, pack_->header_problem());
        }
        return &*pack_;
    }

    void check_made_packs(const std::vector<PackSize>& packs) {
        for (const PackSize& pack : packs) {
            const PackReader* reader = open_pack(pack.name);
            if (reader != nullptr && reader->size() != pack.bytes) {
                add_pack(pack.name, "it has " + std::to_string(reader->size()) +
                                        " bytes instead of " + std::to_string(pack.bytes));
            }
        }
    }

    void check_file(const FileEntry& entry) {
        Finding finding{Finding::What::file, entry.path, {}, 0, 0, {}};
        for (const Extent& extent : entry.extents) {
            if (callbacks_.interrupt) {
                callbacks_.interrupt();
            }
            const std::string problem = check_extent(extent);
            if (!problem.empty() && ++finding.extents == 1) {
                finding.pack = extent.pack;
                finding.offset = extent.offset;
                finding.reason = problem;
            }
            done_ += extent.stored_size();
            if (callbacks_.progress) {
                callbacks_.progress(done_, total_);
            }
        }
        ++report_.files;
        if (finding.extents > 0) {
            add(std::move(finding));
        }
    }

    // What is wrong with it; empty when nothing is.
    std::string check_extent(const Extent& extent) {
        PackReader* pack = open_pack(extent.pack);
        if (pack == nullptr) {
            return broken_[extent.pack];
        }
        try {
            pack->read(extent);
            report_.bytes += extent.stored_size();
            return {};
        } catch (const Error& error) {
            if (!is_damage(error)) {
                throw;
            }
            return error.what();
        }
    }

    void refuse_if_deleted() const {
        if (!repository_.has_backup(report_.backup_id)) {
            throw repository_.deleted_error(report_.backup_id, "verified");
        }
    }

    const Repository& repository_;
    const VerifyCallbacks& callbacks_;
    VerifyReport report_;
    std::uint64_t done_ = 0;
    std::uint64_t total_ = 0;
    std::optional<PackReader> pack_;
    std::set<std::string> checked_;
    std::map<std::string, std::string> broken_;  // packs that cannot be opened, and why
};

}  // namespace

VerifyReport verify_backup(const Repository& repository, const std::string& backup_id,
                           const VerifyCallbacks& callbacks) {
    return Verification(repository, backup_id, callbacks).run();
}

}  // namespace hot_backup

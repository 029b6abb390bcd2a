#include "sidecar/restore/restore.hpp"

#include "sidecar/capture/file_rules.hpp"
#include "sidecar/rabbitmq_version.hpp"
#include "sidecar/restore/content_writer.hpp"
#include "sidecar/restore/erlang_text.hpp"
#include "sidecar/restore/layout.hpp"
#include "sidecar/restore/message_store_repair.hpp"
#include "sidecar/restore/salvage.hpp"
#include "sidecar/restore/staging.hpp"
#include "sidecar/restore/stream_repair.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

namespace hot_backup {
namespace {

class Restore {
public:
    Restore(const Repository& repository, const std::string& backup_id,
            const RestoreOptions& options, const RestoreCallbacks& callbacks, const Target& target,
            const Layout& layout)
        : repository_(repository),
          backup_id_(backup_id),
          options_(options),
          callbacks_(callbacks),
          target_(target),
          layout_(layout),
          ownership_(options.owner, target),
          relocation_(layout.relocation(target.name())),
          staging_(target) {}

    RestoredNode run() {
        refuse_if_occupied();
        target_.throw_unless_fits(layout_.space());
        write_files();
        if (relocation_.moves() || cannot_read_its_latin1()) {
            rewrite_ra_configs();
        }
        if (gives_up_in_holes(layout_.summary().rabbitmq_version)) {
            repair_message_stores();
        }
        repair_streams();
        make_links();
        finish_directories();
        if (options_.durable) {
            staging_.sync();
        }
        check_interrupt();
        describe();
        // It took a while.
        target_.throw_if_in_use();
        refuse_if_occupied();
        result_.moved_aside = staging_.publish(options_.durable);
        return std::move(result_);
    }

private:
    struct Directory {
        Path path;
        mode_t mode = 0;
    };
    struct Link {
        std::string path;  // within the backup
        Path place;
        std::string target;  // as the node had it
    };

    void refuse_if_occupied() const {
        if (options_.force) {
            target_.throw_unless_replaceable();
        } else {
            target_.throw_if_occupied();
        }
    }

    void check_interrupt() const {
        if (callbacks_.interrupt) {
            callbacks_.interrupt();
        }
    }

    void show_progress(std::uint64_t done) const {
        if (callbacks_.progress) {
            callbacks_.progress(done, layout_.bytes());
        }
    }

    void write_files() {
        ContentWriter writer(repository_, backup_id_, ownership_,
                             {.salvage = options_.salvage, .write_through = options_.durable},
                             [this](std::uint64_t done) {
                                 check_interrupt();
                                 show_progress(done);
                             });
        ManifestReader manifest = repository_.read_manifest(backup_id_);
        while (const auto entry = manifest.next_file()) {
            if (const auto place = staged(layout_.place_of(entry->path))) {
                write(*entry, *place, writer);
            }
        }
        writer.finish();
        result_.lost = give_up(writer.damaged());
    }

    // Where a part of the node is until it gets its name; nothing when it gets none.
    std::optional<Path> staged(const Layout::Place& place) const {
        const auto within = [&](const Path& part) {
            return place.path.empty() ? part : part / place.path;
        };
        switch (place.part) {
            case Layout::Part::data:
                return within(staging_.data());
            case Layout::Part::feature_flags:
                return staging_.feature_flags();
            case Layout::Part::configuration:
                return within(staging_.configuration());
            default:
                return std::nullopt;
        }
    }

    void write(const FileEntry& entry, const Path& place, ContentWriter& writer) {
        if (entry.kind == "directory") {
            add_directory(place, entry.origin ? entry.origin->mode : 0700);
        } else if (entry.kind == "symlink") {
            links_.push_back({entry.path, place, entry.target});
        } else {
            if (entry.kind == "configuration") {
                add_directories_of_configuration(place.parent_path());
            }
            writer.add(entry, place);
            note_file(entry, place);
        }
    }

    // Their modes come last: that of one may forbid to make files in it.
    void add_directory(const Path& place, mode_t mode) {
        if (place != staging_.data()) {
            make_directory(place);
        }
        directories_.push_back({place, mode});
    }

    // A backup has no entries for these.
    void add_directories_of_configuration(const Path& place) {
        if (!is_there(place)) {
            if (place != staging_.configuration()) {
                add_directories_of_configuration(place.parent_path());
            }
            add_directory(place, 0750);
        }
    }

    void note_file(const FileEntry& entry, const Path& place) {
        ++result_.files;
        result_.bytes += entry.size;
        if (place.filename() == "config") {
            ra_configs_.push_back(place);
        } else if (rule_for(entry.path) == CopyRule::message_store) {
            message_stores_.push_back(place);
        } else if (place.extension() == ".index" && area_of(entry.path) == Area::streams) {
            streams_.insert(place.parent_path());
        }
    }

    // Ra 1 writes Latin-1 and reads UTF-8: RabbitMQ 3.8 itself loses the quorum queues with such
    // names at a restart.
    bool cannot_read_its_latin1() const {
        const auto version = RabbitmqVersion::of(layout_.summary().rabbitmq_version);
        return version && *version < RabbitmqVersion{3, 9, 0};
    }

    void rewrite_ra_configs() {
        for (const Path& place : ra_configs_) {
            check_interrupt();
            if (!is_there(place)) {
                continue;  // given up
            }
            const std::string text = read_target(place);
            const std::string moved = moved_config(text, final_place(place));
            const std::string readable = cannot_read_its_latin1() ? in_ascii(moved) : moved;
            if (readable != text) {
                const Descriptor file = open_target(place, O_WRONLY | O_TRUNC);
                write_at(file, readable, 0, place);
            }
        }
    }

    std::string moved_config(const std::string& text, const Path& place) const {
        try {
            return relocation_.moved_config(text, place);
        } catch (const Error& error) {
            throw Error(ErrorCode::failed,
                        "cannot move the paths in " + place.string() + ": " + error.what(),
                        "Restore to the original place, " + layout_.summary().data_dir + ".");
        }
    }

    void repair_message_stores() {
        for (const Path& place : message_stores_) {
            check_interrupt();
            if (is_there(place)) {
                repair_message_store_file(place);
            }
        }
    }

    void repair_streams() {
        for (const Path& directory : streams_) {
            check_interrupt();
            if (is_there(directory)) {
                repair_stream(directory);
            }
        }
    }

    // When all files are there: none is written through a link.
    void make_links() {
        for (const Link& link : links_) {
            check_interrupt();
            if (!is_there(link.place.parent_path())) {
                continue;  // given up
            }
            const auto target =
                relocation_.moved_link(link.target, final_place(link.place), target_.name());
            if (target) {
                make_link(link.place, *target);
                ownership_.give(link.place);
            } else {
                give_up_link(link);
            }
        }
    }

    void give_up_link(const Link& link) {
        const std::string reason =
            "a symbolic link out of the restored directory, to " + link.target;
        if (!options_.salvage) {
            throw Error(
                ErrorCode::failed,
                "cannot restore " + final_place(link.place).string() + ": it is " + reason,
                "What is behind it is not in the backup, and the original node may use it. "
                "Add --salvage to leave the link out, then make there what the node needs.");
        }
        result_.lost.push_back({link.path, reason});
    }

    Path final_place(const Path& staged) const {
        return target_.name() / staged.lexically_relative(staging_.data());
    }

    // What is deepest first.
    void finish_directories() {
        for (auto directory = directories_.rbegin(); directory != directories_.rend();
             ++directory) {
            if (!is_there(directory->path)) {
                continue;  // given up
            }
            ownership_.give(directory->path);
            if (::chmod(directory->path.c_str(), directory->mode) < 0) {
                throw target_error(errno, "set the permissions of", directory->path);
            }
        }
    }

    void describe() {
        const Summary& summary = layout_.summary();
        result_.node = summary.node;
        result_.rabbitmq_version = summary.rabbitmq_version;
        result_.data_directory = target_.name();
        result_.original_data_directory = summary.data_dir;
        result_.moved_parts = layout_.moved_parts(target_.name());
        if (is_there(staging_.feature_flags())) {
            result_.feature_flags = target_.name().string() + std::string(feature_flags_suffix);
        }
        if (is_there(staging_.configuration())) {
            result_.configuration = target_.name().string() + std::string(configuration_suffix);
        }
    }

    const Repository& repository_;
    const std::string& backup_id_;
    const RestoreOptions& options_;
    const RestoreCallbacks& callbacks_;
    const Target& target_;
    const Layout& layout_;
    const Ownership ownership_;
    const Relocation relocation_;
    Staging staging_;
    RestoredNode result_;
    std::vector<Directory> directories_;  // parents come first
    std::vector<Link> links_;
    std::vector<Path> ra_configs_;
    std::vector<Path> message_stores_;
    std::set<Path> streams_;
};

}  // namespace

RestoredNode restore_node(const Repository& repository, const std::string& backup_id,
                          const RestoreOptions& options, const RestoreCallbacks& callbacks) {
    const Layout layout(repository, backup_id);
    const Target target(options.target, repository.directory());
    target.throw_if_in_use();
    return Restore(repository, backup_id, options, callbacks, target, layout).run();
}

}  // namespace hot_backup

// The command line: what can be asked, and its defaults.
#pragma once

#include "sidecar/repository/retention.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

// Of commands that boot a sandbox broker.
struct SandboxArguments {
    std::optional<std::string> rabbitmq_home;  // none: the one on this machine
    std::optional<std::string> scratch;        // none: default_scratch_parent()
    bool any_version = false;
    std::chrono::seconds boot_timeout{600};
};

// Of `restore --into`.
struct TransferArguments {
    std::string into;  // the node; empty: --target-dir is asked for
    std::vector<std::string> queues;
    std::vector<std::string> vhosts;
    std::optional<std::string> as;
    bool definitions_only = false;
    bool dry_run = false;
    std::optional<std::string> journal;  // none: beside the scratch directory
};

// Which part of a long list is wanted, and in which order.
struct ListArguments {
    std::string filter;  // empty: everything
    bool regex = false;  // whether the filter is one
    std::string sort;    // a column; empty: as the list is
    bool reverse = false;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> limit;  // none: to the end
};

struct ShowArguments {
    bool files = false;                // each of the node's own, too
    std::optional<std::string> vhost;  // none: all of them
    std::vector<std::string> without;  // "queues", "files": parts that are left out
    // "queues", "files", "configuration", "log" or "findings": that, in the place of the
    // description. Empty: the description.
    std::string list;
    ListArguments part;  // of `list`
};

struct NoteArguments {
    std::string text;
    std::optional<Timestamp> when;  // none: now
};

struct PruneArguments {
    RetentionRules rules;
    bool dry_run = false;
    bool utc = false;  // the calendar in which days begin; else local time
};

// Of a cluster and its backups.
struct ClusterArguments {
    bool all_nodes = false;  // --cluster: also where the node has no cluster it is an error
    bool this_node = false;
    std::vector<std::string> allow_missing;  // nodes
    std::string part;               // restore, show: of this node; empty: all that are here
    std::vector<std::string> with;  // verify, restore --into: further repositories
    bool list_parts = false;        // list
};

struct Arguments {
    enum class Command {
        create,
        list,
        show,
        verify,
        definitions,
        archive,
        restore,
        remove,
        protect,
        unprotect,
        note,
        prune,
        port,
    };
    Command command = Command::list;

    std::string repository;         // every command but port
    bool repository_given = false;  // it is not the default
    bool json = false;

    // create; but for the node and its pause also restore --into
    std::string node;
    bool long_names = false;
    std::optional<std::string> cookie_file;  // none: the usual places
    // None: what the node is configured for.
    std::optional<std::chrono::milliseconds> max_pause;
    std::optional<std::uint64_t> rate_limit;  // bytes a second; 0: no limit
    ClusterArguments cluster;

    // show, verify, definitions, archive, restore, note: at most one; delete, protect, unprotect:
    // one or more. `latest` or an unambiguous prefix will do.
    std::vector<std::string> backups;
    bool all = false;  // verify: backups; show, restore --into: queues
    ShowArguments show;
    std::string output_file;  // definitions, archive; empty: standard output
    bool framed = false;      // archive
    std::chrono::seconds retry_lock{
        0};              // create, delete, prune: how long to wait for another writer
    std::string reason;  // protect; may be empty
    NoteArguments note;
    PruneArguments prune;

    // verify; the sandbox also restore --into
    bool boot = false;
    SandboxArguments sandbox;

    // restore
    std::string target_dir;
    bool force = false;
    bool salvage = false;
    std::optional<std::string> owner;
    TransferArguments transfer;
};

// Reads the command line. Throws Error(usage). Returns nothing when --help or --version was asked
// for and has been printed.
std::optional<Arguments> parse_arguments(int argc, const char* const* argv);

}  // namespace hot_backup

// The directories of the node, what is in them, and what changed since it was copied.
//
// A directory is watched before it is listed, so whatever happens after the listing is reported. A
// report marks a file as dirty; take_dirty() clears the mark and hands the file out, and only then
// may it be opened: so a mark that is not there means a copy that is up to date, as soon as all
// reports are drained. Directories that the kernel gives no watch for are compared instead, by the
// status of their files.
//
// No descriptor is held per directory, since there is one directory or more per queue. Whatever is
// done by path may therefore meet a directory that has just taken that path: the reports that are
// still to be drained say so, and the whole directory is then listed anew.
//
// Used by one thread.
#pragma once

#include "sidecar/capture/dirty_files.hpp"
#include "sidecar/capture/inotify.hpp"

#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace hot_backup {

struct SymbolicLink {
    NodeFileStatus status;
    std::string target;
};

struct Root {
    std::string name;
    std::string path;      // as the node calls it
    std::string resolved;  // without symbolic links
};

struct Directory {
    const Root* root = nullptr;
    Directory* parent = nullptr;  // none of a root
    std::string path;
    int watch = Inotify::none;
    NodeFileStatus status;
    // By name. The names of files and directories are their own.
    std::unordered_map<std::string_view, NodeFilePtr> files;
    std::map<std::string, std::unique_ptr<Directory>, std::less<>> directories;
    std::map<std::string, SymbolicLink, std::less<>> links;
    std::set<std::uint64_t> store_numbers;  // of its message store's files
};

class WatchedTree {
public:
    // While it lives, all directories are being walked through, which may take minutes: step() lets
    // others have their turn, and the kernel's reports are read, but not handled before the next
    // drain(), since they would change what the walk goes through.
    class Walk {
    public:
        explicit Walk(WatchedTree& tree) : tree_(tree) { tree_.walking_ = true; }
        ~Walk() { tree_.walking_ = false; }
        Walk(const Walk&) = delete;
        Walk& operator=(const Walk&) = delete;
        void step() { tree_.step(); }

    private:
        WatchedTree& tree_;
    };

    // Watches and lists everything, in a walk. Errors as of LiveCopy.
    WatchedTree(const std::vector<CaptureRoot>& roots, const CopyOptions& options);
    ~WatchedTree();
    WatchedTree(const WatchedTree&) = delete;
    WatchedTree& operator=(const WatchedTree&) = delete;

    // Takes note of all that was reported; in a walk, reads it only.
    void drain();
    // Whether the kernel had more to report than its queue holds, since the last rescan().
    bool events_lost() const noexcept { return events_lost_; }
    // Looks at everything anew, in a walk, and marks every file.
    void rescan();
    // Marks what changed where nobody reports it: in directories without a watch, and in files of
    // several names. False when `deadline` came first.
    bool compare_unreported(LiveCopy::Clock::time_point deadline);
    // A file has several names, so that a write to it is reported for one of them only. False when
    // that is new.
    bool note_names(const NodeFileStatus& status);
    // Reads the status of directories that were reported to have changed.
    void refresh_directories();

    // Of dirty files: see DirtyFiles.
    std::uint64_t last_mark() const noexcept { return dirty_.last(); }
    NodeFilePtr take_dirty(std::uint64_t until) { return dirty_.take(until); }
    void mark(const NodeFilePtr& file);
    std::vector<NodeFilePtr> dirty_files() const { return dirty_.all(); }
    // The file is not there any more.
    void forget(const NodeFilePtr& file);

    static std::string path_of(const NodeFile& file);
    static std::string image_path_of(const Directory& directory);
    static std::string origin_of(const Directory& directory);
    static CopyTask task_for(const NodeFile& file);

    // A file that keeps an image from being made; nothing when there is none.
    std::optional<std::string> combine_in_flight() const;
    std::uint64_t unwatched_directories() const noexcept { return directories_ - watches_.size(); }
    const std::vector<std::unique_ptr<Directory>>& roots() const noexcept { return roots_; }

private:
    void drop_inner_roots();
    // Does nothing outside of walks.
    void step();
    // What fails half way leaves reports unheeded and directories half listed.
    template <class Action>
    auto lose_events_on_failure(Action action) {
        try {
            return action();
        } catch (...) {
            events_lost_ = true;
            throw;
        }
    }

    void handle(const inotify_event& event);
    void handle_name(Directory& directory, std::string_view name, std::uint32_t mask);

    // Takes up what has this name now, whatever had it before.
    void look(Directory& directory, const std::string& name, std::optional<NodeFileKind> kind);
    std::unique_ptr<Directory> make_directory(const Root& root, Directory* parent,
                                              std::string path);
    // Watches, then lists. False when it is gone.
    bool open_directory(Directory& directory);
    void add_directory(Directory& parent, const std::string& name);
    void add_file(Directory& directory, const std::string& name);
    void add_link(Directory& directory, const std::string& name);

    void forget(Directory& directory, std::string_view name);
    void forget_all_but_file(Directory& directory, std::string_view name);
    void let_go(NodeFile& file) noexcept;
    void let_go(Directory& directory) noexcept;

    int watch(const Directory& directory);
    void set_watch(Directory& directory, int watch);

    static std::string child_path(const Directory& directory, std::string_view name);
    [[noreturn]] static void throw_root_lost(const Directory& root);
    static bool is_same(const Directory& directory);
    bool rescan(Directory& directory);
    void reconcile(Directory& directory, bool mark_all);
    void forget_unlisted(Directory& directory, const std::vector<ListedName>& names);
    void reconcile_name(Directory& directory, const std::string& name, bool mark_all);
    bool compare_below(Directory& directory, LiveCopy::Clock::time_point deadline);
    bool compare_named(const Directory& directory, LiveCopy::Clock::time_point deadline);

    Inotify inotify_;
    const std::uint64_t watch_limit_;
    const std::function<void()> look_up_;
    const std::chrono::milliseconds look_up_interval_;
    LiveCopy::Clock::time_point next_keep_;
    LiveCopy::Clock::time_point next_look_up_;
    bool walking_ = false;
    std::vector<Root> roots_named_;
    std::vector<std::unique_ptr<Directory>> roots_;
    std::unordered_map<int, Directory*> watches_;
    std::uint64_t directories_ = 0;
    DirtyFiles dirty_;
    std::unordered_set<Directory*> touched_;
    std::unordered_set<const NodeFile*> combining_;
    std::set<std::pair<std::uint64_t, std::uint64_t>> several_names_;  // device, inode
    bool events_lost_ = false;
};

}  // namespace hot_backup

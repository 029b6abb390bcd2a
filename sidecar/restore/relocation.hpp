// Absolute paths within a node's files, when the files have come to another place.
//
// They are in two kinds of file. Ra writes each server's configuration to a file named `config`, an
// Erlang term as text; up to its version 2.4 with `data_dir` and `wal_data_dir` of the whole system
// in it, and a server that is started from there uses the directories that are named, whatever
// directory it lies in itself. And Ra 3 makes symbolic links with absolute targets.
#pragma once

#include "sidecar/repository/file_system.hpp"

#include <optional>
#include <string>
#include <vector>

namespace hot_backup {

class Relocation {
public:
    // What lay in `from` is in `to` now. Of several the longest `from` counts.
    void add(const Path& from, const Path& to);
    // Whether anything has another path than before.
    bool moves() const;

    // The path that this one has now; itself, when it did not move.
    std::string moved(const std::string& path) const;
    // What the symbolic link at `link` has for its target now, when `target` was its target before
    // and `directory` holds all that was restored. Nothing when it leads out of `directory`, or may
    // do so: what is there was not restored, and may be in use by the node that the backup is of.
    // A directory is recognised by what it is called within `directory`, too, where the target has
    // another spelling of the path before that.
    std::optional<std::string> moved_link(const std::string& target, const Path& link,
                                          const Path& directory) const;
    // The text of a Ra configuration with every path in it moved. `file` is where it is now: what
    // it calls its `data_dir` is the directory around its own, even where that was named by way of
    // a symbolic link. Error failed: it is not the text of a term.
    std::string moved_config(const std::string& text, const Path& file) const;

private:
    struct Move {
        std::string from;
        std::string to;
    };
    std::vector<Move> moves_;
};

}  // namespace hot_backup

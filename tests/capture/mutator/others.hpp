// Plays what is left of a node's directory: streams, Mnesia, and what no rule knows.
#pragma once

#include "tests/capture/mutator/disk.hpp"

#include <deque>
#include <memory>
#include <string>
#include <vector>

namespace mutator {

// The directory of one stream: a chunk goes to the segment before its record goes to the index.
class Stream {
public:
    Stream(const Scene& scene, Path directory);

    void step();
    const Path& directory() const noexcept { return directory_; }

private:
    struct Segment {
        Segment(const Path& directory, std::uint64_t first_offset);
        std::string name;
        OpenFile segment;
        OpenFile index;
    };

    Scene scene_;
    Path directory_;
    std::deque<Segment> segments_;
    std::uint64_t offset_ = 0;
};

class Streams {
public:
    Streams(const Scene& scene, Path directory);

    void step();

private:
    void add();

    Scene scene_;
    Path directory_;
    std::vector<std::unique_ptr<Stream>> streams_;
    std::uint64_t next_ = 0;
};

// The files that lie at the top of the data directory.
class Mnesia {
public:
    // `outside` is the feature flags file, which lies beside the data directory.
    Mnesia(const Scene& scene, Path directory, Path outside);

    void step();

private:
    Scene scene_;
    Path directory_;
    Path outside_;
    std::unique_ptr<OpenFile> log_;
};

// Links, modes, sparse and tiny files, names that change what they are.
class Oddities {
public:
    // Keeps about `files` tiny files.
    Oddities(const Scene& scene, Path directory, std::uint64_t files);

    void step();

private:
    Path tiny(std::uint64_t number) const;
    void change_link();
    void change_kind();
    void change_mode_of_something();
    void write_sparse();
    void change_tiny_files();
    void rename_in_circles();

    Scene scene_;
    Path directory_;
    std::uint64_t files_;
};

}  // namespace mutator

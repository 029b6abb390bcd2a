// The threads that read, hash and store files, with low priority, while another one conducts them.
//
//     submit() until it is false; wait for descriptor(); collect(); and so on until all came back.
//
// One thread conducts. The destructor drops what has not begun, and waits for what has.
#pragma once

#include "sidecar/capture/file_copy.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <thread>

namespace hot_backup {

class Readers {
public:
    struct Job {
        std::size_t id = 0;
        // `buffer` has the size of a block, and belongs to the job while it runs.
        std::function<FileCopyPtr(std::span<char> buffer)> work;
    };
    struct Result {
        std::size_t id = 0;
        FileCopyPtr copy;
    };

    // Fewer threads, where the system gives no more; an Error (failed) when it gives none.
    Readers(unsigned threads, unsigned niceness, std::size_t block_size);
    ~Readers();
    Readers(const Readers&) = delete;
    Readers& operator=(const Readers&) = delete;

    // Whether there is room for another job.
    bool has_room();
    void submit(Job job);
    // What is done since the last call. Throws the first thing that a job threw.
    std::vector<Result> collect();
    // Readable when there is something to collect.
    int descriptor() const noexcept { return done_.number(); }

private:
    void run(unsigned niceness, std::span<char> buffer);
    bool next(Job& job);
    void finish(std::size_t id, FileCopyPtr copy, std::exception_ptr failure);

    Descriptor done_;
    std::mutex mutex_;
    std::condition_variable work_;
    std::deque<Job> jobs_;
    std::vector<Result> results_;
    std::exception_ptr failure_;
    bool ended_ = false;
    std::vector<std::unique_ptr<char[]>> buffers_;  // one for each thread
    std::vector<std::thread> threads_;
};

}  // namespace hot_backup

// A child process of a test, made by fork(): it runs a function and reports a number from 0 to 255.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include <stdexcept>
#include <utility>

namespace repository_test {

class Child {
public:
    // Runs `body` in the child, which ends without destructors, like a process that is killed.
    template <class Body>
    explicit Child(Body&& body) : pid_(::fork()) {
        if (pid_ < 0) {
            throw std::runtime_error("fork failed");
        }
        if (pid_ == 0) {
            int result = 255;
            try {
                result = body();
            } catch (...) {
            }
            ::_exit(result);
        }
    }
    Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
    Child& operator=(Child&&) = delete;
    ~Child() {
        if (pid_ > 0) {
            wait();
        }
    }

    pid_t pid() const noexcept { return pid_; }

    // What the body returned; 255 when it threw.
    int wait() {
        int status = 0;
        ::waitpid(std::exchange(pid_, 0), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    }

private:
    pid_t pid_;
};

// A pipe between a test and its children.
class Pipe {
public:
    Pipe() {
        if (::pipe(ends_) != 0) {
            throw std::runtime_error("pipe failed");
        }
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() {
        ::close(ends_[0]);
        close_writer();
    }

    void put(char c) {
        if (::write(ends_[1], &c, 1) != 1) {
            throw std::runtime_error("write failed");
        }
    }
    // The next byte, or 0 when every writer has closed its end.
    char get() {
        char c = 0;
        return ::read(ends_[0], &c, 1) == 1 ? c : '\0';
    }
    void close_writer() {
        if (ends_[1] >= 0) {
            ::close(std::exchange(ends_[1], -1));
        }
    }

private:
    int ends_[2] = {-1, -1};
};

}  // namespace repository_test

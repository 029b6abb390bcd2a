#include "sidecar/cli/output_file.hpp"

#include <unistd.h>

#include <fstream>
#include <memory>
#include <streambuf>
#include <string>

namespace hot_backup {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

// A stream into a file of the seam, so that its errors arrive as they are. Of a large file little
// waits in the page cache: a broker's own syncs on the same disk do not queue up behind it.
class FileBuffer : public std::streambuf {
public:
    explicit FileBuffer(OpenFile& file) : file_(file) {}

private:
    int_type overflow(int_type byte) override {
        const char character = traits_type::to_char_type(byte);
        return xsputn(&character, 1) == 1 ? byte : traits_type::eof();
    }
    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
        file_.append({bytes, static_cast<std::size_t>(count)});
        unwritten_ += static_cast<std::uint64_t>(count);
        if (unwritten_ >= mebibyte) {
            file_.write_behind(16 * mebibyte);
            unwritten_ = 0;
        }
        return count;
    }

    OpenFile& file_;
    std::uint64_t unwritten_ = 0;
};

// Removes the file unless it got its name.
class Temporary {
public:
    explicit Temporary(Path path) : path_(std::move(path)) {}
    ~Temporary() {
        if (!path_.empty()) {
            ::unlink(path_.c_str());
        }
    }
    Temporary(const Temporary&) = delete;
    Temporary& operator=(const Temporary&) = delete;

    const Path& path() const { return path_; }
    void rename_to(const Path& path) {
        posix_file_system().rename(path_, path);
        path_.clear();
    }

private:
    Path path_;
};

std::unique_ptr<OpenFile> create_in_directory(const Path& path) {
    try {
        return posix_file_system().create(path);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found) {
            throw;
        }
        // No backup is missing, which that code is about, but the directory.
        throw Error(ErrorCode::failed, error.what(), "Name a file in a directory that exists.");
    }
}

void write_regular_file(const Path& path, const std::function<void(std::ostream&)>& write) {
    const auto temporary_path = Path(path) += "." + std::to_string(::getpid()) + ".tmp";
    const auto file = create_in_directory(temporary_path);
    Temporary temporary(temporary_path);
    FileBuffer buffer(*file);
    std::ostream stream(&buffer);
    // Lets the file's own error through instead of a mere flag.
    stream.exceptions(std::ios::badbit);
    write(stream);
    file->sync();
    temporary.rename_to(path);
    posix_file_system().sync_parent(path);
}

void write_special_file(const Path& path, const std::function<void(std::ostream&)>& write) {
    std::ofstream stream(path, std::ios::binary);
    if (stream) {
        write(stream);
        stream.close();
    }
    if (!stream) {
        throw Error(ErrorCode::failed, "cannot write to " + path.string(),
                    "Name a file in a directory that you may write to.");
    }
}

}  // namespace

void write_output_file(const Path& path, const std::function<void(std::ostream&)>& write) {
    std::error_code ignored;
    const auto target = std::filesystem::weakly_canonical(path, ignored);
    const auto& resolved = target.empty() ? path : target;
    const auto type = std::filesystem::status(resolved, ignored).type();
    if (type == std::filesystem::file_type::regular ||
        type == std::filesystem::file_type::not_found) {
        write_regular_file(resolved, write);
    } else {
        write_special_file(resolved, write);
    }
}

}  // namespace hot_backup

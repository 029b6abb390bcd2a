#include "sidecar/cli/commands.hpp"
#include "sidecar/definitions/definitions.hpp"
#include "sidecar/engine/stored_snapshot.hpp"

#include <unistd.h>

#include <iostream>
#include <memory>
#include <streambuf>

namespace hot_backup {
namespace {

// A file that appears under its name only when it is whole. It holds password hashes, and the file
// system makes it 0600.
class OutputFile : private std::streambuf {
public:
    explicit OutputFile(const Path& path) : path_(path), temporary_(path.string() + ".tmp") {
        stream_.exceptions(std::ios::badbit);
        posix_file_system().remove(temporary_);
        file_ = posix_file_system().create(temporary_);
    }
    ~OutputFile() override {
        if (file_) {
            ::unlink(temporary_.c_str());
        }
    }
    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;

    // Throws what the file system throws.
    std::ostream& stream() { return stream_; }

    void publish() {
        file_->sync();
        posix_file_system().rename(temporary_, path_);
        file_.reset();
    }

private:
    int_type overflow(int_type byte) override {
        const char character = traits_type::to_char_type(byte);
        return xsputn(&character, 1) == 1 ? byte : traits_type::eof();
    }
    std::streamsize xsputn(const char* bytes, std::streamsize count) override {
        file_->append({bytes, static_cast<std::size_t>(count)});
        return count;
    }

    Path path_;
    Path temporary_;
    std::unique_ptr<OpenFile> file_;
    std::ostream stream_{this};
};

void warn(const DefinitionsReport& report, Output& output) {
    if (report.replaced_strings > 0) {
        output.warning(std::to_string(report.replaced_strings) +
                       " strings have bytes that are not UTF-8, which JSON cannot hold; each such "
                       "byte became U+FFFD");
    }
}

}  // namespace

ExitCode definitions_command(const Arguments& arguments, Output& output) {
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = repository.resolve(arguments.backups.front());
    const DefinitionsHeader header{repository.read_manifest(id).summary().rabbitmq_version};
    StoredSnapshot stored(repository, id);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));

    if (arguments.output_file.empty()) {
        warn(write_definitions(snapshot, header, std::cout), output);
        return exit_done;
    }
    OutputFile file(arguments.output_file);
    const auto report = write_definitions(snapshot, header, file.stream());
    file.publish();
    output.line("definitions of " + id + " written to " + arguments.output_file);
    warn(report, output);
    output.summary({{"backup", id},
                    {"output", arguments.output_file},
                    {"replaced_strings", report.replaced_strings}});
    return exit_done;
}

}  // namespace hot_backup

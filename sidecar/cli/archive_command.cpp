#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/framed_output.hpp"
#include "sidecar/cli/output_file.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/repository/archive.hpp"

#include <unistd.h>

#include <iostream>

namespace hot_backup {
namespace {

void write_to(std::ostream& stream, const Archive& archive, Output& output) {
    std::uint64_t done = 0;
    archive.write([&](std::string_view bytes) {
        throw_if_interrupted();
        stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        if (!stream) {
            throw Error(ErrorCode::failed, "cannot write the archive",
                        "Check that the disk or the program it goes to takes all of it.");
        }
        done += bytes.size();
        output.progress("archive", done, archive.bytes());
    });
}

void write_to_standard_output(const Archive& archive, Output& output) {
    write_to(std::cout, archive, output);
    // Checked here: after it, nothing may look like the end of an archive that is not whole.
    output.finish();
}

// The frames: what it is; the tar; an empty one; how it went. The empty one before all of the tar
// says that it ends here. An error before the tar takes the first one's place.
void write_framed(const Arguments& arguments, Output& output) {
    FramedOutput frames;
    bool begun = false;
    try {
        const auto repository = Repository::open(posix_file_system(), arguments.repository);
        const auto id = choose_backup(repository, arguments.backups.front(), output);
        const Archive archive(repository, id);
        frames.write_frame(to_line(OrderedJson{
            {"backup", id}, {"name", archive.name() + ".tar"}, {"bytes", archive.bytes()}}));
        begun = true;
        archive.write([&](std::string_view bytes) { frames.write(bytes); });
        frames.write_frame({});
        frames.write_frame(to_line(
            OrderedJson{{"message_type", "summary"}, {"backup", id}, {"bytes", archive.bytes()}}));
    } catch (const Error& error) {
        if (error.code() != ErrorCode::interrupted) {
            if (begun) {
                frames.write_frame({});
            }
            frames.write_frame(error_line(error));
        }
        throw;
    }
}

}  // namespace

ExitCode archive_command(const Arguments& arguments, Output& output) {
    if (arguments.framed) {
        write_framed(arguments, output);
        return exit_done;
    }
    if (arguments.output_file.empty() && ::isatty(STDOUT_FILENO) == 1) {
        throw Error(ErrorCode::usage, "an archive is nothing for a terminal",
                    "Name a file with --output, or send standard output to a file or a program.");
    }
    const auto repository = Repository::open(posix_file_system(), arguments.repository);
    const auto id = choose_backup(repository, arguments.backups.front(), output);
    const Archive archive(repository, id);
    if (arguments.output_file.empty()) {
        write_to_standard_output(archive, output);
        return exit_done;
    }
    write_output_file(arguments.output_file,
                      [&](std::ostream& stream) { write_to(stream, archive, output); });
    output.line("archive of " + id + " written to " + arguments.output_file + ", " +
                format_bytes(archive.bytes()));
    output.summary({{"backup", id}, {"output", arguments.output_file}, {"bytes", archive.bytes()}});
    return exit_done;
}

}  // namespace hot_backup

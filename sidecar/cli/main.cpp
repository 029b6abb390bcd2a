// rabbitmq-hot-backup: the command line, and the port program that the plugin starts.
#include "erlang_port/stdio_channel.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/engine/port_program.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <string_view>

namespace hot_backup {
namespace {

ExitCode run(const Arguments& arguments, Output& output) {
    switch (arguments.command) {
        case Arguments::Command::create:
            return create_command(arguments, output);
        case Arguments::Command::list:
            return list_command(arguments, output);
        case Arguments::Command::show:
            return show_command(arguments, output);
        case Arguments::Command::verify:
            return verify_command(arguments, output);
        case Arguments::Command::definitions:
            return definitions_command(arguments, output);
        case Arguments::Command::archive:
            return archive_command(arguments, output);
        case Arguments::Command::restore:
            return arguments.transfer.into.empty() ? restore_command(arguments, output)
                                                   : restore_into_command(arguments, output);
        case Arguments::Command::remove:
            return delete_command(arguments, output);
        case Arguments::Command::protect:
            return protect_command(arguments, output);
        case Arguments::Command::unprotect:
            return unprotect_command(arguments, output);
        case Arguments::Command::note:
            return note_command(arguments, output);
        case Arguments::Command::prune:
            return prune_command(arguments, output);
        case Arguments::Command::port:
            run_port_program(posix_file_system(), std::make_unique<erlang::StdioChannel>());
            return exit_done;
    }
    return exit_usage;
}

// A call that a signal cut short may look like any failure: then it is the signal that is reported.
ExitCode run_to_the_end_or_signal(const Arguments& arguments, Output& output) {
    try {
        return run(arguments, output);
    } catch (const Error&) {
        throw_if_interrupted();
        throw;
    }
}

ExitCode run_command_line(int argc, const char* const* argv) {
    // Asked for before the arguments are read, so that a wrong one is reported in the form that was
    // asked for.
    const bool json = std::any_of(argv + 1, argv + argc,
                                  [](std::string_view argument) { return argument == "--json"; });
    Output output(json);
    try {
        const auto arguments = parse_arguments(argc, argv);
        if (!arguments) {
            return exit_done;
        }
        const auto code = run_to_the_end_or_signal(*arguments, output);
        output.finish();
        return code;
    } catch (const Error& error) {
        output.error(error);
        return exit_code(error.code());
    } catch (const std::exception& error) {
        output.error(Error(ErrorCode::failed, std::string("unexpected: ") + error.what(),
                           "Please report this."));
        return exit_failed;
    }
}

}  // namespace
}  // namespace hot_backup

int main(int argc, char** argv) {
    hot_backup::catch_signals();
    return hot_backup::run_command_line(argc, argv);
}

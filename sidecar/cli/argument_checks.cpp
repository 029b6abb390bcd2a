#include "sidecar/cli/argument_checks.hpp"

#include "erlang_port/error.hpp"

namespace hot_backup {

std::string size_problem(const std::string& text) {
    constexpr std::size_t most_digits = 18;
    const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    return digits && text.size() <= most_digits ? "" : "\"" + text + "\" is not a size";
}

std::string count_problem(const std::string& text) {
    return size_problem(text).empty() ? "" : "\"" + text + "\" is not a number";
}

std::string text_problem(const std::string& text) {
    constexpr std::size_t longest = 1000;
    return text.size() <= longest ? "" : "the text has more than 1000 bytes";
}

std::string time_problem(const std::string& text) {
    return parse_timestamp(text) ? "" : "\"" + text + "\" is not a time";
}

void check_prune(const PruneArguments& prune) {
    if (prune.rules == RetentionRules{}) {
        throw Error(ErrorCode::usage, "prune needs a rule",
                    "Say what to keep, such as --keep-daily 7: without a rule nothing is deleted.");
    }
}

void check_restore(const Arguments& arguments) {
    const auto& transfer = arguments.transfer;
    if (arguments.target_dir.empty() && transfer.into.empty()) {
        throw Error(ErrorCode::usage, "restore needs --target-dir or --into",
                    "The first makes a node's directory, the second brings queues into a running "
                    "node: see rabbitmq-hot-backup restore --help.");
    }
    if (!transfer.into.empty() && transfer.queues.empty() && transfer.vhosts.empty() &&
        !arguments.all) {
        throw Error(ErrorCode::usage, "restore --into needs to know which queues",
                    "Name them with --queue VHOST/NAME, --vhost VHOST or --all.");
    }
}

}  // namespace hot_backup

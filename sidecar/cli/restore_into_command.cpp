#include "erlang_port/cookie.hpp"
#include "erlang_port/node_channel.hpp"
#include "sidecar/cli/choose_backup.hpp"
#include "sidecar/cli/commands.hpp"
#include "sidecar/cli/sandbox_options.hpp"
#include "sidecar/engine/interrupt.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "sidecar/engine/stored_statistics.hpp"
#include "sidecar/repository/checksum.hpp"
#include "sidecar/sandbox/sandbox_brokers.hpp"
#include "sidecar/transfer/transfer.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace hot_backup {
namespace {

// One run of the command.
class RestoreInto {
public:
    RestoreInto(const Arguments& arguments, Output& output)
        : arguments_(arguments),
          wanted_(arguments.transfer),
          output_(output),
          repositories_(open_repositories(arguments)),
          id_(choose_backup(repositories_.front(), arguments.backups.front(), output)),
          backup_(find_whole_backup(repositories_, id_)),
          target_(std::make_unique<erlang::NodeChannel>(target_options(arguments)),
                  throw_if_interrupted) {}

    void run() {
        plan_ = make_plan();
        report_plan();
        if (wanted_.dry_run) {
            report_expected_messages();
        } else if (wanted_.definitions_only) {
            declare_only();
        } else {
            restore_messages();
        }
        output_.summary({{"backup", id_},
                         {"node", target_.identity().node},
                         {"dry_run", wanted_.dry_run},
                         {"queues", plan_.queues.size()},
                         {"declared", declared_},
                         {"messages", messages_},
                         {"earlier", earlier_},
                         {"doubtful", doubtful_}});
    }

private:
    using State = DefinitionFinding::State;

    static erlang::NodeOptions target_options(const Arguments& arguments) {
        erlang::NodeOptions node;
        node.node = arguments.transfer.into;
        node.long_names = arguments.long_names;
        node.cookie = erlang::find_cookie(arguments.cookie_file);
        node.interrupt = throw_if_interrupted;
        return node;
    }

    TransferPlan make_plan() {
        const auto& metadata = backup_.with_metadata();
        StoredSnapshot stored(*metadata.repository, metadata.backup);
        Snapshot snapshot(stored, SnapshotIndex::scan(stored));
        return plan_transfer(snapshot, backup_.rabbitmq_version, target_,
                             {wanted_.queues, wanted_.vhosts, arguments_.all}, wanted_.as);
    }

    // What is there already is not worth a line.
    void report_plan() {
        static const std::map<State, std::pair<const char*, const char*>> words{
            {State::missing, {"missing", "to declare"}},
            {State::same, {"same", "there already"}},
            {State::differs, {"differs", "DIFFERS, left alone"}},
            {State::withheld, {"withheld", "NOT declared"}}};
        for (const auto& finding : plan_.difference.findings) {
            const auto& [word, line] = words.at(finding.state);
            if (finding.state != State::same) {
                output_.line(std::string("  ") + line + ": " + finding.kind + " " +
                             printable(finding.name) +
                             (finding.kind == "vhost" ? "" : " in vhost " + finding.vhost) +
                             (finding.detail.empty() ? "" : ": " + printable(finding.detail)));
            }
            output_.message({{"message_type", "definition"},
                             {"state", word},
                             {"kind", finding.kind},
                             {"vhost", finding.vhost},
                             {"name", finding.name},
                             {"detail", finding.detail}});
        }
        for (const auto& left_out : plan_.left_out) {
            output_.warning(describe(left_out.queue) + " is left out: " + left_out.reason);
            output_.message({{"message_type", "left_out"},
                             {"vhost", left_out.queue.vhost},
                             {"queue", left_out.queue.name},
                             {"reason", left_out.reason}});
        }
        for (const auto& change : plan_.changes) {
            report_change(change);
        }
    }

    // One line for all queues that it is about, of which it names the first.
    void report_change(const VersionChange& change) {
        constexpr std::size_t named = 3;
        std::string names;
        for (std::size_t n = 0; n < std::min(named, change.queues.size()); ++n) {
            names += (n == 0 ? "" : ", ") + describe(change.queues[n]);
        }
        if (change.queues.size() > named) {
            names += " and " + plural(change.queues.size() - named, "other", "others");
        }
        output_.warning(printable(names) + ": " + change.what);
        for (const auto& queue : change.queues) {
            output_.message({{"message_type", "changed"},
                             {"vhost", queue.vhost},
                             {"queue", queue.name},
                             {"reason", change.what}});
        }
    }

    // By the statistics of the backup, which are some seconds off: to know more it would have to be
    // booted.
    void report_expected_messages() {
        std::map<QueueName, std::uint64_t> counts;
        for (const auto& node : backup_.nodes) {
            read_statistics(*node.repository, node.backup, [&](const QueueStatistics& queue) {
                auto& count = counts[{queue.vhost, queue.name}];
                // Of a stream each node has a replica.
                count = std::max(count,
                                 queue.last_offset
                                     ? *queue.last_offset - queue.first_offset.value_or(0) + 1
                                     : queue.ready.value_or(0) + queue.unacknowledged.value_or(0));
            });
        }
        for (const auto& queue : plan_.queues) {
            const auto found = counts.find(queue.move.from);
            const auto text = found == counts.end() ? "an unknown number of"
                                                    : "about " + std::to_string(found->second);
            output_.line("  to deliver: " + text + " messages into " +
                         printable(describe(queue.move.to)));
            OrderedJson json{{"message_type", "queue"},
                             {"vhost", queue.move.to.vhost},
                             {"queue", queue.move.to.name},
                             {"type", queue.type}};
            if (found != counts.end()) {
                json["expected_messages"] = found->second;
            }
            output_.message(json);
        }
        output_.line("nothing was changed");
    }

    // A restore with messages that was cut off earlier may be continued later.
    void declare_only() {
        std::optional<Journal> journal;
        if (std::filesystem::exists(journal_path())) {
            journal.emplace(journal_path(), restore_identity());
        }
        declare(journal ? &*journal : nullptr);
    }

    void declare(Journal* journal) {
        declare_missing(plan_, target_, journal);
        for (const auto& finding : plan_.difference.findings) {
            if (finding.state == State::missing) {
                ++declared_;
            }
            if (finding.state == State::missing && finding.kind == "vhost") {
                output_.warning("vhost " + printable(finding.name) +
                                " is new: no user has permissions in it yet");
            }
        }
        output_.line(plural(declared_, "definition", "definitions") + " declared on " +
                     printable(target_.identity().node));
    }

    void restore_messages() {
        const auto options = sandbox_options(arguments_.sandbox, backup_.rabbitmq_version);
        Journal journal(journal_path(), restore_identity());
        if (journal.resumed()) {
            output_.line("going on with the restore of the journal " + printable(journal.path()));
        }
        auto callbacks = boot_callbacks(backup_, output_);
        // The target drops a connection that leaves its ticks unanswered.
        callbacks.interrupt = [this] { target_.look_up(); };
        BootedBackup booted(backup_, options, callbacks);
        booted.keep_log_of([&] {
            SandboxBrokers brokers(booted.sandbox(), callbacks.interrupt);
            // The boot took a while: somebody may have declared something meanwhile.
            plan_ = make_plan();
            declare(&journal);
            transfer_messages(plan_, source_of(booted, brokers), target_, journal,
                              {arguments_.rate_limit.value_or(0)}, transfer_callbacks());
        });
        journal.remove();
    }

    static TransferSource source_of(BootedBackup& booted, SandboxBrokers& brokers) {
        TransferSource source;
        for (auto* broker : brokers.all()) {
            const auto number = source.size();
            source.push_back({*broker, booted.sandbox().amqp_port(number),
                              booted.restored()[number].data_directory / "stream"});
        }
        return source;
    }

    RestoreIdentity restore_identity() const {
        return {id_, backup_.name, target_.identity().cluster, wanted_.as.value_or("")};
    }

    // The same restore finds it again, through whichever node of the cluster; another one has
    // another.
    std::string journal_path() const {
        if (wanted_.journal) {
            return *wanted_.journal;
        }
        const auto repository =
            std::filesystem::canonical(repositories_.front().directory()).string();
        const Json all{target_.identity().cluster,
                       wanted_.as.value_or(""),
                       wanted_.queues,
                       wanted_.vhosts,
                       arguments_.all,
                       repository};
        return scratch_parent(arguments_.sandbox) /
               ("rabbitmq-hot-backup-restore-" + id_ + "-" +
                checksum(to_line(all)).hex().substr(0, 16) + ".journal");
    }

    TransferCallbacks transfer_callbacks() {
        TransferCallbacks callbacks;
        callbacks.progress = [this](const PlannedQueue& queue, std::uint64_t, std::uint64_t bytes) {
            output_.progress("deliver to " + printable(queue.move.to.name), bytes, 0);
        };
        callbacks.blocked = [this](const std::vector<std::string>& alarms) {
            for (const auto& alarm : alarms) {
                output_.warning(printable(target_.identity().node) +
                                " blocks its publishers (alarm: " + printable(alarm) +
                                "); waiting until it goes on");
            }
            output_.message({{"message_type", "blocked"}, {"alarms", alarms}});
        };
        callbacks.finished = [this](const QueueOutcome& outcome) { report(outcome); };
        return callbacks;
    }

    void report(const QueueOutcome& outcome) {
        messages_ += outcome.messages;
        earlier_ += outcome.earlier;
        doubtful_ += outcome.doubtful_end - outcome.doubtful_begin;
        const auto queue = printable(describe(outcome.move.to));
        output_.line("  " + plural(outcome.messages, "message", "messages") + " into " + queue +
                     (outcome.earlier == 0
                          ? std::string()
                          : ", " + std::to_string(outcome.earlier) + " of them in an earlier run"));
        if (outcome.doubtful_end > outcome.doubtful_begin) {
            output_.warning("messages " + std::to_string(outcome.doubtful_begin + 1) + " to " +
                            std::to_string(outcome.doubtful_end) +
                            " of the backup may be twice in " + queue +
                            ": they were under way when an earlier run was cut off");
        }
        output_.message({{"message_type", "queue"},
                         {"vhost", outcome.move.to.vhost},
                         {"queue", outcome.move.to.name},
                         {"type", outcome.type},
                         {"messages", outcome.messages},
                         {"earlier", outcome.earlier},
                         {"doubtful_begin", outcome.doubtful_begin},
                         {"doubtful_end", outcome.doubtful_end}});
    }

    const Arguments& arguments_;
    const TransferArguments& wanted_;
    Output& output_;
    std::vector<Repository> repositories_;
    std::string id_;
    WholeBackup backup_;
    Broker target_;
    TransferPlan plan_;
    std::uint64_t declared_ = 0;
    std::uint64_t messages_ = 0;
    std::uint64_t earlier_ = 0;
    std::uint64_t doubtful_ = 0;
};

}  // namespace

ExitCode restore_into_command(const Arguments& arguments, Output& output) {
    RestoreInto(arguments, output).run();
    return exit_done;
}

}  // namespace hot_backup

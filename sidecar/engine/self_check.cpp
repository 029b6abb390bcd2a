#include "sidecar/engine/self_check.hpp"

#include "erlang_port/external_term.hpp"
#include "sidecar/definitions/item.hpp"
#include "sidecar/definitions/records.hpp"
#include "sidecar/rabbitmq_version.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

namespace hot_backup {
namespace {

struct Series {
    unsigned major;
    unsigned minor;
};

// What tests/run.sh runs on: 3.10.8, and 3.8.9, 4.0.5 and 4.3.6 with --matrix.
constexpr std::array tried_series{Series{3, 8}, Series{3, 10}, Series{4, 0}, Series{4, 3}};

bool is_tried(const std::string& text) {
    const auto version = RabbitmqVersion::of(text);
    return version && std::ranges::any_of(tried_series, [&](const Series& series) {
               return series.major == version->major && series.minor == version->minor;
           });
}

// Throws for a record that is not as expected; what it says is not wanted here.
void read_record(Category category, const erlang::Term& record) {
    switch (category) {
        case Category::users:
            static_cast<void>(user_of(record));
            break;
        case Category::vhosts:
            static_cast<void>(vhost_of(record));
            break;
        case Category::permissions:
            static_cast<void>(permission_of(record));
            break;
        case Category::topic_permissions:
            static_cast<void>(topic_permission_of(record));
            break;
        case Category::parameters:
            static_cast<void>(parameter_of(record));
            break;
        case Category::global_parameters:
            static_cast<void>(global_parameter_of(record));
            break;
        case Category::policies:
            static_cast<void>(policy_of(record));
            break;
        case Category::queues:
            static_cast<void>(queue_of(record));
            break;
        case Category::exchanges:
            static_cast<void>(exchange_of(record));
            break;
        case Category::bindings:
            static_cast<void>(binding_of(record));
            break;
        case Category::other:
            break;
    }
}

}  // namespace

SelfCheck::SelfCheck(const NodeIdentity& identity)
    : identity_(identity), tried_(is_tried(identity.rabbitmq_version)) {}

void SelfCheck::check_layout(const NodeDescription& description) const {
    if (tried_) {
        return;
    }
    const std::filesystem::path directory = description.data_dir;
    const auto* store = identity_.metadata_store == "khepri" ? "coordination" : "LATEST.LOG";
    for (const auto& expected : {directory / store, directory / "msg_stores" / "vhosts"}) {
        std::error_code error;
        if (!std::filesystem::exists(expected, error)) {
            refuse("there is no " + expected.string());
        }
    }
}

void SelfCheck::check_records(std::string_view payload) const {
    if (tried_) {
        return;
    }
    for (erlang::ListReader items(payload); const auto encoded = items.next();) {
        const auto item = parse_item(*encoded);
        if (item.kind != Item::Kind::record || item.category == Category::other) {
            continue;
        }
        for_each_record(item, [&](const erlang::Term& record) {
            try {
                read_record(item.category, record);
            } catch (const Error& error) {
                refuse(error.what());
            }
        });
    }
}

std::string SelfCheck::warning() const {
    return tried_
               ? ""
               : "RabbitMQ " + identity_.rabbitmq_version +
                     " is none of the releases that this program is tested with; a check of what "
                     "it relies on found nothing unusual. Prove the backup with verify --boot";
}

void SelfCheck::refuse(const std::string& why) const {
    throw Error(
        ErrorCode::failed,
        "RabbitMQ " + identity_.rabbitmq_version +
            " is none of the releases that this program is tested with, and not like them: " + why,
        "No backup was made. Use the version of the program that goes with this RabbitMQ.");
}

}  // namespace hot_backup

// Every snapshot of Mnesia's is the state between two transactions, whatever is written while it is
// taken. Where the metadata is in Khepri, integration.metadata_store tests it.
#include "erlang_port/external_term.hpp"
#include "sidecar/definitions/snapshot_reader.hpp"
#include "sidecar/engine/stored_snapshot.hpp"
#include "tests/harness/temp_dir.hpp"
#include "tests/integration/service_watch.hpp"
#include "tests/integration/support.hpp"

#include <catch2/catch.hpp>

#include <iostream>
#include <map>
#include <set>
#include <string>
#include <tuple>

using namespace harness;
using namespace integration;
using namespace hot_backup;
using erlang::Term;

namespace {

constexpr std::uint64_t writers = 4;
constexpr int backups = 20;
// Of integration_probe.erl.
constexpr std::int64_t rows_kept = 10;

// What the writers' records say.
struct View {
    std::map<std::pair<std::string, std::int64_t>, std::int64_t> counters;  // by table and writer
    std::map<std::pair<std::string, std::int64_t>, std::set<std::int64_t>> rows;
    std::int64_t money = 0;
    std::size_t accounts = 0;
};

std::int64_t number(const Term* term) {
    return std::get<std::int64_t>(term->value());
}

// Table, Key and Value of a record.
using Record = std::tuple<std::string, Term, Term>;

void add(View& view, const Record& record) {
    const auto& [table, key, value] = record;
    if (table == "rabbit_runtime_parameters") {
        const auto* component = key.element(1);
        if (component != nullptr && *component == erlang::binary("integration")) {
            const auto& writer = std::get<erlang::Binary>(key.element(2)->value()).bytes;
            view.counters[{table, std::stoll(writer)}] = number(&value);
        }
    } else if (table.starts_with("integration_")) {
        if (key.element(0)->is_atom("counter")) {
            view.counters[{table, number(key.element(1))}] = number(&value);
        } else if (key.element(0)->is_atom("row")) {
            view.rows[{table, number(key.element(1))}].insert(number(key.element(2)));
        } else if (key.element(0)->is_atom("account")) {
            view.money += number(&value);
            ++view.accounts;
        }
    }
}

Record record_of(const Term& term) {
    return {std::get<erlang::Atom>(term.element(0)->value()).name, *term.element(1),
            *term.element(2)};
}

// As a backup is read: the corrections replayed.
View replayed(const Repository& repository, const std::string& backup) {
    StoredSnapshot stored(repository, backup);
    Snapshot snapshot(stored, SnapshotIndex::scan(stored));
    View view;
    for (const Category category : {Category::parameters, Category::other}) {
        snapshot.for_each(category, [&](const Term& record) { add(view, record_of(record)); });
    }
    return view;
}

// As a wrong reader would: of each key the first record, no deletions.
View without_corrections(const Repository& repository, const std::string& backup) {
    StoredSnapshot stored(repository, backup);
    stored.rewind();
    std::string bytes;
    while (const auto piece = stored.next()) {
        bytes += *piece;
    }
    View view;
    std::set<std::string> seen;
    for (std::size_t position = 0; position < bytes.size();) {
        std::size_t length = 0;
        for (int n = 0; n < 4; ++n) {
            length = length << 8U | static_cast<unsigned char>(bytes[position++]);
        }
        erlang::ListReader items(std::string_view(bytes).substr(position, length));
        while (const auto item = items.next()) {
            const Item parsed = parse_item(*item);
            if (parsed.kind == Item::Kind::record &&
                seen.insert(std::string(parsed.identity)).second) {
                add(view, record_of(erlang::decode_item(*item)));
            }
        }
        position += length;
    }
    return view;
}

// Which rule of the writers' transactions the view breaks; empty when none.
std::string violation(const View& view) {
    for (std::int64_t writer = 1; writer <= static_cast<std::int64_t>(writers); ++writer) {
        const auto left = view.counters.find({"integration_left", writer});
        if (left == view.counters.end()) {
            return "no counter of writer " + std::to_string(writer);
        }
        const std::int64_t count = left->second;
        for (const char* table : {"integration_right", "rabbit_runtime_parameters"}) {
            const auto counter = view.counters.find({table, writer});
            if (counter == view.counters.end() || counter->second != count) {
                return std::string("the counter in ") + table + " is another one";
            }
        }
        std::set<std::int64_t> expected;
        for (auto n = std::max<std::int64_t>(1, count - rows_kept + 1); n <= count; ++n) {
            expected.insert(n);
        }
        for (const char* table : {"integration_left", "integration_right"}) {
            const auto rows = view.rows.find({table, writer});
            if (rows == view.rows.end() || rows->second != expected) {
                return std::string("the rows in ") + table + " are not those of the counter";
            }
        }
    }
    return view.money != 0 || view.accounts != 100 ? "money was lost or made" : "";
}

}  // namespace

TEST_CASE("snapshots under writers that change several tables at once are consistent") {
    Broker& broker = shared_broker();
    if (metadata_store(broker) != "mnesia") {
        std::cout << "this RabbitMQ has no metadata in Mnesia: nothing is tested of it"
                  << std::endl;
        return;
    }
    const TempDir files;
    const auto directory = files / "repository";
    probe(broker, "start_writers", {erlang::integer(writers)});
    ServiceWatch service(broker);
    for (int n = 0; n < backups; ++n) {
        const CliResult created = create_backup(broker, directory);
        INFO(created.output << created.error_output);
        REQUIRE(created.exit_code == 0);
    }
    service.finish();
    const auto transactions = probe(broker, "stop_writers").as_unsigned().value();
    CHECK(transactions > 10U * backups);

    const auto repository = Repository::open(posix_file_system(), directory);
    const std::vector<std::string> ids = repository.list();
    REQUIRE(ids.size() == backups);
    std::set<std::int64_t> instants;
    int broken_without_corrections = 0;
    for (const std::string& id : ids) {
        INFO(id);
        const View view = replayed(repository, id);
        CHECK(violation(view) == "");
        instants.insert(view.counters.at({"integration_left", 1}));
        broken_without_corrections +=
            violation(without_corrections(repository, id)).empty() ? 0 : 1;
    }
    CHECK(instants.size() == backups);
    // Otherwise the writers never met a reader and nothing was proven.
    CHECK(broken_without_corrections > 0);
}

// What a restore drill finds in backups that are not what they say.
#include "tests/sandbox/support.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace harness;
using namespace sandbox_test;

namespace {

// Directories of queues tell in a file whose they are.
std::string directory_of(const BackedUpNode& node, const std::string& queue) {
    constexpr std::string_view file = ".queue_name";
    for (auto path :
         paths_of(node.repository(), node.backup, "data/msg_stores/", std::string(file))) {
        if (content_of(node.repository(), node.backup, path).find("QUEUE: " + queue + "\n") !=
            std::string::npos) {
            return path.substr(0, path.size() - file.size());
        }
    }
    throw hot_backup::Error(hot_backup::ErrorCode::failed, "no directory of the queue " + queue);
}

Contents without(const BackedUpNode& node, const std::string& begin, const std::string& end) {
    Contents contents;
    for (const auto& path : paths_of(node.repository(), node.backup, begin, end)) {
        contents[path] = std::nullopt;
    }
    return contents;
}

// What a drill finds in the node's backup once its files are these.
std::vector<nlohmann::json> findings_with(const BackedUpNode& node, const Contents& contents) {
    const auto changed = rewrite_backup(node.repository(), node.backup, contents);
    const TempDir scratch;
    const auto result = drill(node.repository(), changed, scratch.path());
    UNSCOPED_INFO(result.output);
    auto found = lines_of(result, "difference");
    CHECK(result.exit_code == 3);
    CHECK(result.line("summary").at("differences") == found.size());
    CHECK(result.line("error").at("message").get<std::string>().starts_with(
        std::to_string(found.size()) + " difference"));
    CHECK(names_in(scratch.path()).empty());
    std::ranges::sort(found, {}, [](const auto& line) {
        return line.at("kind").template get<std::string>() +
               line.at("name").template get<std::string>();
    });
    return found;
}

}  // namespace

TEST_CASE("a queue whose files are lost is found, and nothing else") {
    auto& node = backed_up_node();
    const auto found = findings_with(node, without(node, directory_of(node, "lazy"), ""));
    REQUIRE(found.size() == 1);
    CHECK(found[0].at("kind") == "queue");
    CHECK(found[0].at("vhost") == "/");
    CHECK(found[0].at("name") == "lazy");
    CHECK(found[0].at("aspect") == "messages");
    CHECK(found[0].at("expected") == 300);
    CHECK(found[0].at("found") == 0);
}

TEST_CASE("a stream whose last chunk is cut off is found although the broker does not see it") {
    if (!harness::has_streams()) {
        WARN("this RabbitMQ has no streams");
        return;
    }
    auto& node = backed_up_node();
    Contents contents;
    for (const auto& path : paths_of(node.repository(), node.backup, "data/stream/", ".segment")) {
        auto content = content_of(node.repository(), node.backup, path);
        if (content.size() > 1000) {  // the other one is empty
            content.pop_back();
            contents[path] = content;
        }
    }
    REQUIRE(contents.size() == 1);
    const auto found = findings_with(node, contents);
    REQUIRE(found.size() == 1);
    CHECK(found[0].at("name") == "stream");
    CHECK(found[0].at("aspect") == "last_offset");
    CHECK(found[0].at("expected") < node.load.stream_records - 1);
    CHECK(found[0].at("found") == node.load.stream_records - 1);
}

TEST_CASE("quorum queues that have lost their log elect no leader, which is found") {
    auto& node = backed_up_node();
    auto contents = without(node, "data/quorum/", ".wal");
    contents.merge(without(node, "data/quorum/", ".segment"));
    const auto found = findings_with(node, contents);
    REQUIRE(found.size() == 2);
    CHECK(found[0].at("name") == "quorum");
    CHECK(found[0].at("vhost") == awkward_vhost);
    CHECK(found[1].at("name") == "quorum ✓");
    for (const auto& difference : found) {
        CHECK(difference.at("aspect") == "state");
        CHECK(difference.at("expected") == "running");
    }
}

TEST_CASE("definitions that are not those of the files are found one by one") {
    auto& node = backed_up_node();
    node.broker.rabbitmqctl({"set_policy", "--vhost", "/", "länge", "^never",
                             R"({"max-length":999})", "--priority", "1", "--apply-to", "queues"});
    node.broker.rabbitmqctl({"add_user", "newcomer", "secret"});
    node.broker.rabbitmqctl({"clear_global_parameter", "site"});
    const auto created = create_backup(node.broker, node.repository());
    REQUIRE(created.exit_code == 0);
    const auto later = created.line("summary").at("backup").get<std::string>();
    const auto found = findings_with(
        node, {{"metadata/snapshot", content_of(node.repository(), later, "metadata/snapshot")}});
    REQUIRE(found.size() == 3);
    CHECK(found[0].at("kind") == "global parameter");
    CHECK(found[0].at("name") == "site");
    CHECK(found[0].at("expected").is_null());
    CHECK(found[0].at("found").at("value") == nlohmann::json{{"rack", 7}});
    CHECK(found[1].at("kind") == "policy");
    CHECK(found[1].at("name") == "länge");
    CHECK(found[1].at("vhost") == "/");
    CHECK(found[1].at("expected") == nlohmann::json{{"definition", {{"max-length", 999}}}});
    CHECK(found[1].at("found") == nlohmann::json{{"definition", {{"max-length", 1000000}}}});
    CHECK(found[2].at("kind") == "user");
    CHECK(found[2].at("name") == "newcomer");
    CHECK(found[2].at("found").is_null());
}

// Absolute paths in Ra's files, as io:format("~p") writes them, follow the files.
#include "sidecar/restore/relocation.hpp"

#include "erlang_port/error.hpp"
#include "sidecar/restore/erlang_text.hpp"

#include <catch2/catch.hpp>

using namespace hot_backup;

namespace {

const std::string original = "/var/lib/rabbitmq/mnesia/rabbit@here";

Relocation relocation() {
    Relocation moves;
    moves.add(original, "/restored/here");
    return moves;
}

std::string string_in(const std::string& text) {
    const auto parts = parts_of_erlang_text(text);
    REQUIRE(parts.size() == 1);
    REQUIRE(parts[0].string);
    return *parts[0].string;
}

}  // namespace

TEST_CASE("strings are read in each form in which they are written") {
    CHECK(string_in("\"abc\"") == "abc");
    CHECK(string_in("\"a\"\n   \"b\" \"c\"") == "abc");
    CHECK(string_in(R"("a\"\\\n\x41\x{20AC}\101\s")") ==
          "a\"\\\nA\u20AC"
          "A ");
    CHECK(string_in("\"\xE9\"") == "\u00E9");  // Latin-1
    CHECK(string_in("[47, 118,\n  8364]") == "/v\u20AC");
    for (const std::string text : {"", "plain", "\"\\", "\u00E9\u20AC\U0001F407"}) {
        CHECK(string_in(to_erlang_text(text.empty() ? "x" : text)) == (text.empty() ? "x" : text));
    }
}

TEST_CASE("a text without bytes beyond ASCII is the same") {
    CHECK(in_ascii("#{id => 'a\\'b',\n x => \"y\"}.") == "#{id => 'a\\'b',\n x => \"y\"}.");
    CHECK(in_ascii("{'Gr\xFC\xDF\x65',<<\"\xC3\xBC\">>}") ==
          R"({'Gr\x{FC}\x{DF}e',<<"\x{C3}\x{BC}">>})");
    CHECK(string_in(in_ascii("\"h\xE9\"")) == "h\u00E9");
}

TEST_CASE("what is no string is none") {
    for (const char* text : {"atom", "'quoted \" atom'", "[1,two]", "[]", "[1", "[\"a\"]", "12",
                             "=>", "#{a => 1}", "'it\\'s'"}) {
        INFO(text);
        for (const auto& part : parts_of_erlang_text(text)) {
            CHECK((!part.string || part.string == "a"));
        }
    }
    CHECK_THROWS_AS(parts_of_erlang_text("\"abc"), Error);
    CHECK_THROWS_AS(parts_of_erlang_text("'abc\\'"), Error);
}

TEST_CASE("paths below the place that was left move, and no others") {
    const Relocation moves = relocation();
    CHECK(moves.moves());
    CHECK(moves.moved(original) == "/restored/here");
    CHECK(moves.moved(original + "/quorum") == "/restored/here/quorum");
    CHECK(moves.moved(original + "s/quorum") == original + "s/quorum");
    CHECK(moves.moved("quorum") == "quorum");
    Relocation stays;
    stays.add(original + "/", original);
    CHECK_FALSE(stays.moves());
}

TEST_CASE("the longest place counts") {
    Relocation moves = relocation();
    moves.add(original + "/quorum", "/elsewhere");
    moves.add("/", "/root");
    CHECK(moves.moved(original + "/quorum/x") == "/elsewhere/x");
    CHECK(moves.moved(original + "/stream/x") == "/restored/here/stream/x");
}

TEST_CASE("a symbolic link leads to what was restored, or nowhere") {
    const Path directory = "/restored/here";
    const Path server = directory / "quorum/rabbit@here/UID";
    const auto moved = [&](const std::string& target, const Path& link) {
        return relocation().moved_link(target, link, directory).value_or("out");
    };
    CHECK(moved(original + "/quorum/x", server / "1.segment") == "/restored/here/quorum/x");
    CHECK(moved(original, directory / "link") == "/restored/here");
    CHECK(moved("2.segment", server / "1.segment") == "2.segment");
    CHECK(moved("../OTHER/./2.segment", server / "1.segment") == "../OTHER/./2.segment");
    CHECK(moved("../../..", server / "1.segment") == "../../..");
    // The path of the node in another spelling.
    CHECK(moved("/way/node/quorum/rabbit@here/UID/2.segment", server / "1.segment") ==
          (server / "2.segment").string());

    CHECK(moved("../../../..", server / "1.segment") == "out");
    CHECK(moved("..", directory / "link") == "out");
    CHECK(moved("other/..", directory / "link") == "out");  // it may be a link itself
    CHECK(moved("/ssd/msg_stores", directory / "msg_stores") == "out");
    CHECK(moved("/", directory / "link") == "out");
    CHECK(moved(original + "s", directory / "link") == "out");
    CHECK(moved(original + "/../rabbit@there", directory / "link") == "out");
    CHECK(moved(original + "/quorum/../../rabbit@there", server / "1.segment") == "out");
    CHECK(moved("/way/node/quorum/rabbit@here/OTHER/2.segment", server / "1.segment") == "out");
    CHECK(moved("/way/../quorum/rabbit@here/UID/..", server / "1.segment") == "out");
}

TEST_CASE("a Ra configuration keeps everything but its paths") {
    const std::string text =
        "#{id => {'it\\'s \"quoted\"',rabbit@here},\n  system_config =>\n"
        "      #{data_dir =>\n            \"" +
        original +
        "/quo\"\n            \"rum/rabbit@here\",name => quorum_queues,\n"
        "        wal_data_dir => \"" +
        original +
        "/quorum/rabbit@here\"},\n"
        "  name => <<\"a\\\"b\">>, neighbour => \"" +
        original + "s/x\"}.";
    CHECK(relocation().moved_config(text, "/restored/here/quorum/rabbit@here/UID/config") ==
          "#{id => {'it\\'s \"quoted\"',rabbit@here},\n  system_config =>\n"
          "      #{data_dir =>\n            \"/restored/here/quorum/rabbit@here\",name => "
          "quorum_queues,\n        wal_data_dir => \"/restored/here/quorum/rabbit@here\"},\n"
          "  name => <<\"a\\\"b\">>, neighbour => \"" +
              original + "s/x\"}.");
}

TEST_CASE("a directory that Ra knows by another name is found by what it calls its own") {
    CHECK(relocation().moved_config("#{data_dir => \"/link/node\",wal_data_dir => \"/link/node\"}.",
                                    "/restored/here/quorum/rabbit@here/UID/config") ==
          "#{data_dir => \"/restored/here/quorum/rabbit@here\","
          "wal_data_dir => \"/restored/here/quorum/rabbit@here\"}.");
}

TEST_CASE("paths that are not ASCII are found, and written so that Erlang reads them") {
    Relocation moves;
    moves.add("/daten/h\u00E4se", "/daten/\u20AC");
    CHECK(moves.moved_config("{\"/daten/h\xE4se/x\"}", "/a/b/config") ==
          "{[47,100,97,116,101,110,47,8364,47,120]}");
}

#include "tests/schedule/exposition.hpp"

#include "erlang_port/error.hpp"

#include <cmath>
#include <limits>
#include <regex>
#include <set>
#include <sstream>

namespace exposition {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& line) {
    throw hot_backup::Error(hot_backup::ErrorCode::failed, what + ": " + line);
}

double number(const std::string& text, const std::string& line) {
    if (text == "+Inf") {
        return std::numeric_limits<double>::infinity();
    }
    std::size_t end = 0;
    const double value = std::stod(text, &end);
    if (end != text.size()) {
        fail("not a number", line);
    }
    return value;
}

// A histogram's samples have names of their own.
std::string family_of(const std::string& sample, const Families& families) {
    for (const std::string suffix : {"_bucket", "_count", "_sum"}) {
        const auto length = sample.size() - std::min(sample.size(), suffix.size());
        const auto family = families.find(sample.substr(0, length));
        if (sample.ends_with(suffix) && family != families.end() &&
            family->second.type == "histogram") {
            return family->first;
        }
    }
    return sample;
}

void check_histogram(const std::string& name, const Family& family) {
    std::map<double, double> buckets;  // by their bounds
    static const std::regex bound(R"re(le="([^"]+)")re");
    for (const auto& [sample, count] : family.samples) {
        std::smatch match;
        if (std::regex_search(sample, match, bound)) {
            buckets.emplace(number(match[1], sample), count);
        }
    }
    double before = 0;
    for (const auto& [upper, count] : buckets) {
        if (count < before) {
            fail("buckets are not cumulative", name);
        }
        before = count;
    }
    const auto count = family.samples.find(name + "_count");
    if (buckets.empty() || count == family.samples.end() ||
        buckets.rbegin()->first != std::numeric_limits<double>::infinity() ||
        buckets.rbegin()->second != count->second || !family.samples.contains(name + "_sum")) {
        fail("not a whole histogram", name);
    }
}

}  // namespace

Families read(const std::string& text, const std::string& prefix) {
    static const std::regex comment(R"(# (TYPE|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+))");
    static const std::regex sample(
        R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*")*\})? (\S+))re");
    Families families;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (line.find(prefix) == std::string::npos) {
            continue;
        }
        if (std::regex_match(line, match, comment)) {
            Family& family = families[match[2]];
            (match[1] == "TYPE" ? family.type : family.help) = match[3];
        } else if (std::regex_match(line, match, sample)) {
            const auto family = families.find(family_of(match[1], families));
            if (family == families.end() || family->second.type.empty() ||
                family->second.help.empty()) {
                fail("a sample without TYPE and HELP before it", line);
            }
            const auto name = match[1].str() + match[2].str();
            if (!family->second.samples.emplace(name, number(match[3], line)).second) {
                fail("a sample that is there twice", line);
            }
        } else {
            fail("not understood", line);
        }
    }
    for (const auto& [name, family] : families) {
        if (family.type == "histogram") {
            check_histogram(name, family);
        }
    }
    return families;
}

std::vector<std::string> names_in(const std::string& text, const std::string& prefix) {
    const std::regex name(prefix + "[a-z_]+");
    std::set<std::string> names;
    for (std::sregex_iterator found(text.begin(), text.end(), name), end; found != end; ++found) {
        names.insert(found->str());
    }
    return {names.begin(), names.end()};
}

}  // namespace exposition

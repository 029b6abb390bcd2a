// Reads Prometheus' text format, as strictly as Prometheus does.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace exposition {

struct Family {
    std::string type;
    std::string help;
    std::map<std::string, double> samples;  // by name and labels, as written: `name{kind="backup"}`
};

using Families = std::map<std::string, Family>;

// The families whose names begin with `prefix`. Throws Error for a line that is not understood, a
// sample before its TYPE or HELP, one that is there twice, and a histogram whose buckets are not
// cumulative.
Families read(const std::string& text, const std::string& prefix);

// Every name in `text`, of whatever language, that begins with `prefix`.
std::vector<std::string> names_in(const std::string& text, const std::string& prefix);

}  // namespace exposition

#include "sidecar/sandbox/difference.hpp"

namespace hot_backup {
namespace {

std::string value_text(const Json& value) {
    return value.is_null() ? "none" : to_line(value);
}

}  // namespace

std::string to_text(const Difference& difference) {
    std::string text = difference.kind + " \"" + difference.name + "\"";
    if (!difference.vhost.empty()) {
        text += " in vhost \"" + difference.vhost + "\"";
    }
    if (!difference.node.empty()) {
        text += " on " + difference.node;
    }
    text += ": " + difference.aspect + ": expected " + value_text(difference.expected) +
            ", found " + value_text(difference.found);
    return difference.excuse.empty() ? text : text + " (" + difference.excuse + ")";
}

}  // namespace hot_backup

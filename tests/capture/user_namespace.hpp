// A limit of the kernel that holds for one child process only.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace capture_test {

// Runs `body` in a child process, in a user namespace whose /proc/sys/user/`limit` is `value`.
// Returns what it threw, or an empty string when it threw nothing; nothing at all when the kernel
// gives no such namespace.
std::optional<std::string> in_user_namespace(const std::string& limit, int value,
                                             const std::function<void()>& body);

}  // namespace capture_test

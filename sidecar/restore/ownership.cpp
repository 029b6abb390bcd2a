#include "sidecar/restore/ownership.hpp"

#include "erlang_port/name_services.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace hot_backup {
namespace {

std::optional<unsigned> number_of(const std::string& text) {
    unsigned number = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

Error unknown(const std::string& what, const std::string& name) {
    return {ErrorCode::usage, "there is no " + what + " \"" + name + "\"",
            "Give --owner as USER or USER:GROUP, by name or by number."};
}

}  // namespace

Ownership::Ownership(const std::optional<std::string>& owner, const Target& target) {
    if (!owner) {
        struct stat status {};
        changes_ = ::geteuid() == 0 && (::stat(target.data_directory().c_str(), &status) == 0 ||
                                        ::stat(target.parent().c_str(), &status) == 0);
        user_ = status.st_uid;
        group_ = status.st_gid;
        return;
    }
    changes_ = true;
    const auto colon = owner->find(':');
    const std::string user = owner->substr(0, colon);
    use_own_name_services();
    const passwd* known = ::getpwnam(user.c_str());
    if (known != nullptr) {
        user_ = known->pw_uid;
        group_ = known->pw_gid;
    } else if (const auto number = number_of(user)) {
        known = ::getpwuid(*number);
        user_ = *number;
        group_ = known != nullptr ? known->pw_gid : *number;
    } else {
        throw unknown("user", user);
    }
    if (colon != std::string::npos) {
        const std::string group = owner->substr(colon + 1);
        if (const struct group* found = ::getgrnam(group.c_str())) {
            group_ = found->gr_gid;
        } else if (const auto number = number_of(group)) {
            group_ = *number;
        } else {
            throw unknown("group", group);
        }
    }
    if (::geteuid() != 0 && user_ != ::geteuid()) {
        throw Error(ErrorCode::usage, "only root can restore files that belong to " + *owner,
                    "Run as root, or leave out --owner.");
    }
}

void Ownership::give(const Descriptor& file, const Path& path) const {
    if (changes_ && ::fchown(file.number(), user_, group_) < 0) {
        throw target_error(errno, "set the owner of", path);
    }
}

void Ownership::give(const Path& path) const {
    if (changes_ && ::lchown(path.c_str(), user_, group_) < 0) {
        throw target_error(errno, "set the owner of", path);
    }
}

}  // namespace hot_backup

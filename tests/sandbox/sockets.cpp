#include "tests/sandbox/sockets.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace sandbox_test {

namespace fs = std::filesystem;

std::vector<TcpSocket> sockets_of(pid_t process) {
    const fs::path proc = "/proc/" + std::to_string(process);
    std::set<std::string> inodes;
    std::error_code gone;
    for (fs::directory_iterator fd(proc / "fd", gone), end; !gone && fd != end;
         fd.increment(gone)) {
        std::error_code closed;
        const auto target = fs::read_symlink(fd->path(), closed).string();
        if (target.starts_with("socket:[")) {
            inodes.insert(target.substr(8, target.size() - 9));
        }
    }
    std::vector<TcpSocket> sockets;
    for (const char* table : {"net/tcp", "net/tcp6"}) {
        std::ifstream lines(proc / table);
        for (std::string line; std::getline(lines, line);) {
            std::istringstream fields(line);
            std::string number, local, remote, state, skipped, inode;
            fields >> number >> local >> remote >> state;
            for (int n = 0; n < 5; ++n) {
                fields >> skipped;
            }
            fields >> inode;
            if (inodes.contains(inode)) {
                sockets.push_back({local, remote, state == "0A"});
            }
        }
    }
    return sockets;
}

bool is_loopback(const std::string& address) {
    const auto host = address.substr(0, address.find(':'));
    return host == "0100007F" || host == "00000000000000000000000001000000" ||
           host == "0000000000000000FFFF00000100007F";
}

}  // namespace sandbox_test

#include "tests/harness/network.hpp"

#include "erlang_port/error.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <random>
#include <thread>

namespace harness {

using hot_backup::Error;
using hot_backup::ErrorCode;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t most_hosts = 16;
constexpr const char* interface_name = "net0";
constexpr const char* needs =
    "A network of tests needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN, and the kernel's TUN "
    "driver (/dev/net/tun): in a container, run it privileged.";

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorCode::failed, what + ": " + std::strerror(errno) + ". " + needs);
}

void check(int result, const char* what) {
    if (result < 0) {
        fail(what);
    }
}

std::string address_of(std::uint8_t number) {
    return "10.77.0." + std::to_string(number);
}

sockaddr_in socket_address(const std::string& address, std::uint16_t port = 0) {
    sockaddr_in known{};
    known.sin_family = AF_INET;
    known.sin_port = htons(port);
    inet_pton(AF_INET, address.c_str(), &known.sin_addr);
    return known;
}

void put(const sockaddr_in& address, sockaddr& into) {
    std::memcpy(&into, &address, sizeof address);
}

// The last byte is the host's number.
using HardwareAddress = std::array<std::uint8_t, 6>;

sockaddr hardware_address(std::uint8_t number) {
    const HardwareAddress bytes{2, 0, 0, 0, 0, number};  // locally administered
    sockaddr address{};
    address.sa_family = ARPHRD_ETHER;
    std::memcpy(address.sa_data, bytes.data(), bytes.size());
    return address;
}

int open_tun() {
    const int existing = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (existing >= 0 || errno != ENOENT) {
        return existing;
    }
    // A container with the right to make the device may not have been given it.
    const auto path = std::filesystem::temp_directory_path() /
                      ("rabbitmq-hot-backup-test-tun-" + std::to_string(getpid()));
    if (mknod(path.c_str(), S_IFCHR | 0600, makedev(10, 200)) != 0) {
        return -1;
    }
    const int made = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    const int error = errno;
    unlink(path.c_str());
    errno = error;
    return made;
}

ifreq request_for(const char* interface) {
    ifreq request{};
    std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    return request;
}

void bring_up(int socket_fd, const char* interface) {
    ifreq request = request_for(interface);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    check(ioctl(socket_fd, SIOCSIFFLAGS, &request), "cannot bring up an interface");
}

// Nobody has to be asked for an address, so that nothing but the switch decides what arrives.
void know_neighbours(int socket_fd, std::uint8_t own) {
    for (std::uint8_t number = 1; number <= most_hosts; ++number) {
        if (number == own) {
            continue;
        }
        arpreq entry{};
        put(socket_address(address_of(number)), entry.arp_pa);
        entry.arp_ha = hardware_address(number);
        entry.arp_flags = ATF_PERM | ATF_COM;
        std::strncpy(entry.arp_dev, interface_name, sizeof entry.arp_dev - 1);
        check(ioctl(socket_fd, SIOCSARP, &entry), "cannot set a neighbour's address");
    }
}

// In the namespace of the calling thread. Returns the descriptor of its frames.
int make_interface(std::uint8_t number) {
    const int tap = open_tun();
    check(tap, "cannot open /dev/net/tun");
    ifreq request = request_for(interface_name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    check(ioctl(tap, TUNSETIFF, &request), "cannot make a network interface");

    const int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(socket_fd, "cannot make a socket");
    request = request_for(interface_name);
    request.ifr_hwaddr = hardware_address(number);
    check(ioctl(socket_fd, SIOCSIFHWADDR, &request), "cannot set an interface's address");
    put(socket_address(address_of(number)), request.ifr_addr);
    check(ioctl(socket_fd, SIOCSIFADDR, &request), "cannot set an interface's address");
    put(socket_address("255.255.255.0"), request.ifr_netmask);
    check(ioctl(socket_fd, SIOCSIFNETMASK, &request), "cannot set an interface's address");
    bring_up(socket_fd, interface_name);
    bring_up(socket_fd, "lo");
    know_neighbours(socket_fd, number);
    close(socket_fd);
    return tap;
}

int open_own_namespace() {
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

}  // namespace

NetworkHost::NetworkHost(std::uint8_t number) : number_(number) {
    std::exception_ptr failure;
    // A namespace is a thread's, so another thread makes it and ends.
    std::thread([&] {
        try {
            check(unshare(CLONE_NEWNET), "cannot make a network namespace");
            namespace_ = open_own_namespace();
            check(namespace_, "cannot open a network namespace");
            interface_ = make_interface(number_);
        } catch (...) {
            failure = std::current_exception();
        }
    }).join();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

NetworkHost::~NetworkHost() {
    close(interface_);
    close(namespace_);
}

std::string NetworkHost::address() const {
    return address_of(number_);
}

std::vector<std::string> NetworkHost::launcher() const {
    return {"nsenter",
            "--net=/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(namespace_), "--"};
}

Visit::Visit(const NetworkHost* host) {
    if (host != nullptr) {
        home_ = open_own_namespace();
        check(home_, "cannot open the own network namespace");
        check(setns(host->namespace_, CLONE_NEWNET), "cannot enter a network namespace");
    }
}

Visit::~Visit() {
    if (home_ >= 0) {
        if (setns(home_, CLONE_NEWNET) != 0) {
            std::abort();
        }
        close(home_);
    }
}

// ---- The switch ---------------------------------------------------------------------------------

// The thread sleeps until the next frame comes or is almost due: two cores are shared with the
// brokers. It runs before all ordinary threads, and the kernel's timers are exact for it.
class Network::Switch {
public:
    explicit Switch(const std::vector<std::unique_ptr<NetworkHost>>& hosts) {
        for (const auto& host : hosts) {
            interfaces_.push_back(host->interface_);
        }
        end_ = eventfd(0, EFD_CLOEXEC);
        check(end_, "cannot make an eventfd");
        thread_ = std::thread([this] { run(); });
    }

    ~Switch() {
        eventfd_write(end_, 1);
        thread_.join();
        close(end_);
    }

    std::atomic<std::chrono::nanoseconds> delay{0ns};
    std::atomic<double> loss{0};
    // Of each host, a bit for each one that it does not reach.
    std::array<std::atomic<std::uint32_t>, most_hosts> blocked{};
    std::atomic<std::uint64_t> kept_back{0};

private:
    using Clock = std::chrono::steady_clock;

    struct Frame {
        Clock::time_point due;
        std::size_t from;
        std::size_t to;
        std::vector<char> bytes;
    };

    // The largest of the interface's MTU (1500), its header and a tag.
    static constexpr std::size_t longest_frame = 2048;
    // A core that sleeps takes some tens of microseconds to wake up (most of all in a virtual
    // machine), so the last of the time goes by awake.
    static constexpr auto awake = 50us;
    // Of one host, before others are looked at.
    static constexpr int frames_at_once = 64;

    void run();
    void wait(std::vector<pollfd>& wanted) const;
    void receive(std::size_t from);
    void deliver();

    std::vector<int> interfaces_;
    int end_ = -1;
    std::deque<Frame> on_their_way_;  // in the order in which they are due
    std::mt19937_64 random_{77};      // NOLINT: the same in every run
    std::thread thread_;
};

void Network::Switch::run() {
    // Where it may not run before others, it still has exact timers; the delays get longer.
    const sched_param first{.sched_priority = 1};
    sched_setscheduler(0, SCHED_FIFO, &first);
    prctl(PR_SET_TIMERSLACK, 1);

    std::vector<pollfd> wanted;
    for (const int interface : interfaces_) {
        wanted.push_back({interface, POLLIN, 0});
    }
    wanted.push_back({end_, POLLIN, 0});
    while (wanted.back().revents == 0) {
        wait(wanted);
        for (std::size_t number = 0; number < interfaces_.size(); ++number) {
            if (wanted[number].revents != 0) {
                receive(number);
            }
        }
        deliver();
    }
}

void Network::Switch::wait(std::vector<pollfd>& wanted) const {
    timespec left{};
    if (!on_their_way_.empty()) {
        const auto time = std::max<std::chrono::nanoseconds>(
            on_their_way_.front().due - Clock::now() - awake, 0ns);
        left = {.tv_sec = time / 1s, .tv_nsec = (time % 1s).count()};
    }
    ppoll(wanted.data(), wanted.size(), on_their_way_.empty() ? nullptr : &left, nullptr);
}

void Network::Switch::receive(std::size_t from) {
    for (int count = 0; count < frames_at_once; ++count) {
        std::vector<char> bytes(longest_frame);
        const ssize_t length = read(interfaces_[from], bytes.data(), bytes.size());
        if (length < static_cast<ssize_t>(sizeof(HardwareAddress))) {
            return;
        }
        bytes.resize(static_cast<std::size_t>(length));
        // What is for all of them (IPv6 looks for routers) is for nobody here.
        HardwareAddress address{};
        std::memcpy(address.data(), bytes.data(), address.size());
        const std::size_t to = address.back() - 1UL;
        const bool is_lost = std::uniform_real_distribution<double>()(random_) < loss.load();
        if (address.front() != 2 || to >= interfaces_.size() || is_lost) {
            continue;
        }
        auto due = Clock::now() + delay.load();
        if (!on_their_way_.empty()) {
            due = std::max(due, on_their_way_.back().due);  // none overtakes another
        }
        on_their_way_.push_back({due, from, to, std::move(bytes)});
    }
}

void Network::Switch::deliver() {
    while (!on_their_way_.empty() && on_their_way_.front().due <= Clock::now()) {
        const Frame& frame = on_their_way_.front();
        if ((blocked[frame.from].load() >> frame.to & 1U) != 0) {
            ++kept_back;
        } else {
            // A full queue loses it, as in other networks.
            [[maybe_unused]] const auto written =
                write(interfaces_[frame.to], frame.bytes.data(), frame.bytes.size());
        }
        on_their_way_.pop_front();
    }
}

// ---- The network --------------------------------------------------------------------------------

Network::Network(std::size_t hosts) {
    if (hosts > most_hosts) {
        throw Error(ErrorCode::failed,
                    "a network of tests has at most " + std::to_string(most_hosts) + " hosts");
    }
    for (std::size_t number = 1; number <= hosts; ++number) {
        hosts_.push_back(std::make_unique<NetworkHost>(static_cast<std::uint8_t>(number)));
    }
    switch_ = std::make_unique<Switch>(hosts_);
}

Network::~Network() = default;

void Network::set_one_way_delay(std::chrono::microseconds delay) {
    switch_->delay = delay;
}

void Network::set_loss(double part) {
    switch_->loss = part;
}

void Network::block(std::size_t from, std::size_t to) {
    switch_->blocked.at(from) |= 1U << to;
}

void Network::isolate(std::size_t host) {
    for (std::size_t other = 0; other < size(); ++other) {
        block(host, other);
        block(other, host);
    }
}

void Network::heal() {
    for (auto& hosts : switch_->blocked) {
        hosts = 0;
    }
}

std::uint64_t Network::kept_back() const {
    return switch_->kept_back;
}

}  // namespace harness

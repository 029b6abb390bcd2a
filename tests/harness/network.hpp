// A network of the test's own: hosts that are network namespaces of this machine, with a switch
// between them that delays and loses frames and can keep hosts apart.
//
// The kernel's own means for that (netem) are not in every kernel, so the switch is a thread of the
// test, which reads the frames of each host's one interface (TAP) and writes them to another's.
// Nothing of it has a name on the machine: namespaces, interfaces and the switch are gone with the
// test, however it ends. What runs in a host is to be started with its launcher(), by Process,
// which ends it with the test.
//
// It needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN, and /dev/net/tun: in a container, a
// privileged one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace harness {

// A network namespace, in which loopback works too: what a test asks a host by loopback does not
// cross the network.
class NetworkHost {
public:
    // `number` from 1 on.
    explicit NetworkHost(std::uint8_t number);
    NetworkHost(const NetworkHost&) = delete;
    NetworkHost& operator=(const NetworkHost&) = delete;
    ~NetworkHost();

    // IPv4, of its interface in the network.
    std::string address() const;
    // For ProcessOptions: starts a program in this host, with the files of the test.
    std::vector<std::string> launcher() const;

private:
    friend class Network;
    friend class Visit;

    std::uint8_t number_;
    int namespace_ = -1;  // descriptors
    int interface_ = -1;
};

// While it lives, sockets that the calling thread opens belong to the host, and they stay there. On
// the machine itself where the host is null.
class Visit {
public:
    explicit Visit(const NetworkHost* host);
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit();

private:
    int home_ = -1;
};

// All members may be called from any thread, at any time. Hosts are numbered from 0.
class Network {
public:
    // Without delay or loss. Throws Error when this machine does not allow it, and says what is
    // missing.
    explicit Network(std::size_t hosts);
    ~Network();

    std::size_t size() const noexcept { return hosts_.size(); }
    const NetworkHost& host(std::size_t number) const { return *hosts_.at(number); }

    // How long each frame is on its way: half of what the round trip takes. To a round trip the
    // switch adds 10 to 90 microseconds of its own on two idle cores.
    void set_one_way_delay(std::chrono::microseconds delay);
    // Which part of all frames is lost, from 0 to 1.
    void set_loss(double part);

    // From now on nothing from `from` arrives at `to`.
    void block(std::size_t from, std::size_t to);
    // Keeps a host and all others apart, both ways.
    void isolate(std::size_t host);
    // Nobody is kept apart any more.
    void heal();
    // How many frames have not arrived because of that, since the network began.
    std::uint64_t kept_back() const;

private:
    class Switch;

    std::vector<std::unique_ptr<NetworkHost>> hosts_;
    std::unique_ptr<Switch> switch_;
};

}  // namespace harness

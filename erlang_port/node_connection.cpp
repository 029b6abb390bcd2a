#include "erlang_port/node_connection.hpp"

#include "erlang_port/error.hpp"
#include "erlang_port/external_term.hpp"

#include <ei.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <random>

namespace erlang {
namespace {

using hot_backup::Error;
using hot_backup::ErrorCode;
using Received = Channel::Received;

// Operations of the distribution protocol ("Distribution Protocol", section "Protocol between
// connected nodes"). The _tt forms carry a trace token; libei negotiates no other variants.
enum class Operation : std::uint64_t {
    send = 2,
    exit = 3,
    reg_send = 6,
    exit2 = 8,
    send_tt = 12,
    exit_tt = 13,
    exit2_tt = 18,
    send_sender = 22,
    send_sender_tt = 23,
};

constexpr char pass_through = 'p';
constexpr std::chrono::milliseconds interrupt_interval(100);
constexpr const char* broker_hint = "Look at the load and the log of the broker.";
// A control message in front of a message takes some bytes more.
constexpr std::size_t frame_cap = max_message + 64UL * 1024;

std::string this_host() {
    std::array<char, HOST_NAME_MAX + 1> name{};
    ::gethostname(name.data(), name.size() - 1);
    return name.data();
}

std::string short_name(const std::string& host) {
    return host.substr(0, host.find('.'));
}

struct OwnName {
    std::string alive;
    std::string host;
};

// Every name that ever connects takes an atom of the node for good, so there are only some thousand
// of them. The host part is a label that nobody resolves; it has the form that the node's kind of
// names asks for.
OwnName own_name(bool long_names) {
    static std::atomic<unsigned> connections{0};
    const auto number = std::to_string(::getpid() % 10'000) + "_" + std::to_string(++connections);
    auto host = this_host();
    if (!long_names) {
        host = short_name(host);
    } else if (host.find('.') == std::string::npos) {
        host += ".localdomain";
    }
    return {"hot_backup_" + number, host.substr(0, EI_MAXHOSTNAMELEN)};
}

Endpoint endpoint_of(const NodeOptions& options, const std::string& alive, const std::string& host,
                     Clock::time_point deadline) {
    if (options.loopback_port) {
        return {{htonl(INADDR_LOOPBACK)}, *options.loopback_port};
    }
    const auto address = resolve_host(host);
    return {address, epmd_port_of(alive, host, address, deadline, options.interrupt)};
}

Term own_pid(ei_cnode& self) {
    std::array<char, 1024> bytes{};
    int length = 0;
    if (ei_encode_pid(bytes.data(), &length, ei_self(&self)) < 0) {
        throw Error(ErrorCode::failed, "cannot make an Erlang pid",
                    "Report this as a defect of this program.");
    }
    return decode_item({bytes.data(), static_cast<std::size_t>(length)});
}

[[noreturn]] void fail_connect(const std::string& node, int ei_error, int system_error) {
    if (ei_error == ETIMEDOUT) {
        throw Error(ErrorCode::unreachable, "the node " + node + " does not answer",
                    "Check that the broker is not overloaded or stopped (SIGSTOP), and that no "
                    "firewall is between.");
    }
    if (system_error == ECONNREFUSED || system_error == EHOSTUNREACH ||
        system_error == ENETUNREACH) {
        throw Error(ErrorCode::unreachable,
                    "cannot connect to the node " + node + ": " + std::strerror(system_error),
                    "The broker may have just stopped; otherwise check that its distribution port "
                    "can be reached from here.");
    }
    throw Error(ErrorCode::unreachable,
                "the node " + node +
                    " refuses the connection: most likely the Erlang cookie is not its own",
                "Use the cookie of the broker's user (usually /var/lib/rabbitmq/.erlang.cookie). "
                "With the right cookie, the log of the broker tells why: a node of our name may be "
                "connected to it, in which case trying again helps, or it takes only TLS "
                "connections from other nodes and cannot be reached this way.");
}

}  // namespace

NodeConnection::Socket::~Socket() {
    if (fd >= 0) {
        ei_close_connection(fd);
    }
}

NodeConnection::NodeConnection(const NodeOptions& options) : interrupt_(options.interrupt) {
    const auto at = options.node.find('@');
    const auto alive = options.node.substr(0, at);
    const auto host = at == std::string::npos
                          ? (options.long_names ? this_host() : short_name(this_host()))
                          : options.node.substr(at + 1);
    if (alive.empty() || host.empty() || alive.size() > EI_MAXALIVELEN) {
        throw Error(ErrorCode::usage, "\"" + options.node + "\" is not the name of a node",
                    "A node's name looks like rabbit@broker-1.");
    }
    node_ = alive + "@" + host;
    const auto deadline = Clock::now() + options.timeout;
    connect(options, options.long_names || host.find('.') != std::string::npos,
            endpoint_of(options, alive, host, deadline), deadline);
    frames_.emplace(socket_.fd, socket_.fd, "the node " + node_, frame_cap);
}

void NodeConnection::connect(const NodeOptions& options, bool long_names, Endpoint endpoint,
                             Clock::time_point deadline) {
    static const int initialised = ei_init();
    const auto own = own_name(long_names);
    // The creation tells our pids from those of an earlier connection of the same name.
    const auto creation = std::random_device{}() | 1U;
    ei_cnode self{};
    if (initialised != 0 || options.cookie.size() > EI_MAX_COOKIE_SIZE ||
        ei_connect_xinit(&self, own.host.c_str(), own.alive.c_str(),
                         (own.alive + "@" + own.host).c_str(), nullptr, options.cookie.c_str(),
                         creation) < 0) {
        throw Error(ErrorCode::failed,
                    "cannot become an Erlang node: the host name or the cookie "
                    "is too long, or a resource is missing",
                    "Check the host name of this machine, the cookie and the limit of open files "
                    "(`ulimit -n`).");
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    errno = 0;
    socket_.fd = ei_xconnect_host_port_tmo(&self, &endpoint.address, endpoint.port,
                                           static_cast<unsigned>(std::max<long>(left, 1)));
    const int ei_error = erl_errno;
    const int system_error = errno;
    look_for_interrupt();
    if (socket_.fd < 0) {
        fail_connect(node_, ei_error, system_error);
    }
    self_ = own_pid(self);
}

void NodeConnection::send_control(const Term& control, const Term& message,
                                  Clock::time_point deadline) {
    std::string bytes(1, pass_through);
    encode_message(control, bytes);
    encode_message(message, bytes);
    frames_->write(bytes, deadline);
}

void NodeConnection::send(const Term& pid, const Term& message, Clock::time_point deadline) {
    const auto operation = integer(static_cast<std::uint64_t>(Operation::send));
    send_control(tuple({operation, atom(""), pid}), message, deadline);
}

Term NodeConnection::rpc(const std::string& module, const std::string& function,
                         std::vector<Term> arguments, std::chrono::milliseconds timeout) {
    const auto deadline = Clock::now() + timeout;
    const auto tag = integer(++last_call_);
    // A gen_server call to rpc's own server. Unlike its older message for C nodes, the answer
    // carries our tag, so a late answer is not taken for the next one.
    const auto request = tuple({atom("$gen_call"), tuple({self_, tag}),
                                tuple({atom("call"), atom(module), atom(function),
                                       list(std::move(arguments)), atom("user")})});
    const auto operation = integer(static_cast<std::uint64_t>(Operation::reg_send));
    send_control(tuple({operation, self_, atom(""), atom("rex")}), request, deadline);
    while (true) {
        look_for_interrupt();
        const auto now = Clock::now();
        auto received = receive_from_node(std::min(deadline, now + interrupt_interval));
        if (received.what == Received::What::closed) {
            throw Error(ErrorCode::unreachable, "the node " + node_ + " closed the connection",
                        "The broker may have stopped: look into its log.");
        }
        if (received.what == Received::What::timeout) {
            if (now < deadline) {
                continue;
            }
            throw Error(ErrorCode::unreachable,
                        "the node " + node_ + " did not answer " + module + ":" + function +
                            " within " + std::to_string(timeout.count()) + " ms",
                        broker_hint);
        }
        const auto* answered = received.message.element(0);
        if (answered != nullptr && answered->as_unsigned() && received.message.element(1)) {
            if (*answered == tag) {
                return *received.message.element(1);
            }
        } else {
            keep(std::move(received.message));
        }
    }
}

void NodeConnection::keep(Term message) {
    if (early_.size() == max_early) {
        throw Error(ErrorCode::unreachable,
                    "the node " + node_ + " sent more than " + std::to_string(max_early) +
                        " messages in place of an answer",
                    broker_hint);
    }
    early_.push_back(std::move(message));
}

void NodeConnection::look_for_interrupt() const {
    if (interrupt_) {
        interrupt_();
    }
}

Term NodeConnection::call(const std::string& module, const std::string& function,
                          std::vector<Term> arguments, std::chrono::milliseconds timeout) {
    auto result = rpc(module, function, std::move(arguments), timeout);
    if (const auto* tag = result.element(0); tag != nullptr && tag->is_atom("badrpc")) {
        throw Error(ErrorCode::failed,
                    module + ":" + function + " failed in the node " + node_ + ": " +
                        to_string(*result.element(1)),
                    broker_hint);
    }
    return result;
}

Received NodeConnection::receive(Clock::time_point deadline) {
    if (!early_.empty()) {
        Received received{Received::What::message, std::move(early_.front())};
        early_.pop_front();
        return received;
    }
    return receive_from_node(deadline);
}

Received NodeConnection::receive_from_node(Clock::time_point deadline) {
    while (!closed_) {
        switch (frames_->read(deadline)) {
            case Frames::Status::timeout:
                return {};
            case Frames::Status::closed:
                closed_ = true;
                break;
            case Frames::Status::frame:
                if (frames_->frame().empty()) {
                    // A tick. Any frame tells the node that we live.
                    frames_->write({}, Clock::now() + std::chrono::seconds(10));
                } else if (auto received = read_frame(frames_->frame())) {
                    return std::move(*received);
                }
        }
    }
    return {Received::What::closed, {}};
}

std::optional<Received> NodeConnection::read_frame(std::string_view frame) {
    if (frame.size() < 2 || frame[0] != pass_through || frame[1] != version_byte) {
        throw Error(ErrorCode::failed,
                    "the node " + node_ +
                        " sent a frame that the distribution protocol of a C node does not have",
                    "Check that what runs there is an Erlang node; if it is, report this as a "
                    "defect, with its Erlang release.");
    }
    const auto length = check_term(frame, 2).length;
    const auto control = decode_item(frame.substr(2, length));
    const auto* operation = control.element(0);
    switch (static_cast<Operation>(operation ? operation->as_unsigned().value_or(0) : 0)) {
        case Operation::send:
        case Operation::send_tt:
        case Operation::send_sender:
        case Operation::send_sender_tt:
            return Received{Received::What::message, decode_message(frame.substr(2 + length))};
        case Operation::exit:
        case Operation::exit2:
        case Operation::exit_tt:
        case Operation::exit2_tt:
            // What would end a process ends the connection.
            closed_ = true;
            return std::nullopt;
        default:
            // Links and monitors that others set up need no answer: they fire when the connection
            // goes. What comes for a registered name (net_adm:ping, a call to every node) is not
            // from the plugin, and must not be taken for a message of it.
            return std::nullopt;
    }
}

}  // namespace erlang

#include "gateway/server/acceptor.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "gateway/pipeline/request_id.hpp"
#include "gateway/pipeline/respond.hpp"
#include "metrics/settlement.hpp"

namespace millrace::gateway {
namespace {

/// Pause when descriptors or memory ran out, or the process is overloaded; connections wait in the
/// kernel's queue meanwhile.
constexpr int kPauseMs = 100;

std::string to_text(const sockaddr_storage& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    } else if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text.data(), text.size());
        } else {
            ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
        }
    }
    return text.data();
}

}  // namespace

Acceptor::Acceptor(int listening, std::vector<std::unique_ptr<Worker>>& workers,
                   Published<Snapshot>& snapshots, const routing::OverloadLadder& overload,
                   metrics::Slot& slot)
    : listening_(listening),
      workers_(workers),
      snapshots_(snapshots),
      overload_(overload),
      slot_(slot) {
    reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void Acceptor::start() {
    thread_ = std::thread([this] { run(); });
}

void Acceptor::stop() {
    if (thread_.joinable()) {
        stopping_.store(true);
        ::eventfd_write(wake_, 1);
        thread_.join();
    }
    for (int* descriptor : {&reserve_, &wake_}) {
        if (*descriptor >= 0) {
            ::close(std::exchange(*descriptor, -1));
        }
    }
}

void Acceptor::run() {
    std::array<pollfd, 2> waited{pollfd{listening_, POLLIN, 0}, pollfd{wake_, POLLIN, 0}};
    while (!stopping_.load()) {
        if (!accepts()) {
            ::poll(&waited[1], 1, kPauseMs);
            continue;
        }
        if (::poll(waited.data(), waited.size(), -1) > 0 && (waited[0].revents & POLLIN) != 0) {
            accept_all();
        }
    }
}

bool Acceptor::accepts() const {
    return !overload_.actions().at_least(routing::OverloadStep::stop_accepting);
}

void Acceptor::accept_all() {
    while (!stopping_.load() && accepts()) {
        sockaddr_storage address{};
        socklen_t size = sizeof(address);
        const int descriptor = ::accept4(listening_, reinterpret_cast<sockaddr*>(&address), &size,
                                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            hand_over(descriptor, to_text(address));
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            survive_exhaustion();
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            return;
        }
    }
}

void Acceptor::survive_exhaustion() {
    if (reserve_ >= 0) {
        ::close(reserve_);
        const int descriptor =
            ::accept4(listening_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            refuse(descriptor, "The gateway is out of file descriptors; try again shortly.");
        }
    }
    reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    pollfd waited{wake_, POLLIN, 0};
    ::poll(&waited, 1, kPauseMs);
    errno = EAGAIN;
}

void Acceptor::hand_over(int descriptor, const std::string& address) {
    const auto& snapshot = *snapshots_.get();
    const auto& listener = snapshot.config().listeners.data;
    std::uint32_t total = 0;
    for (const auto& worker : workers_) {
        total += worker->connections();
    }
    if (total >= listener.max_connections) {
        refuse(descriptor, "The listener's limit of " + std::to_string(listener.max_connections) +
                               " connections is reached (listeners.data.max_connections).");
        return;
    }
    const auto limit = listener.max_connections_per_source;
    if (limit == 0 || snapshot.trusted_proxies.contains(address)) {
        least_loaded().adopt(descriptor, address, [] {});
        return;
    }
    const auto source = source_of(address);
    if (!sources_->try_add(source, limit)) {
        refuse(descriptor, "The limit of " + std::to_string(limit) +
                               " connections per source is reached "
                               "(listeners.data.max_connections_per_source).");
        return;
    }
    least_loaded().adopt(descriptor, address,
                         [sources = sources_, source] { sources->remove(source); });
}

Worker& Acceptor::least_loaded() {
    const auto load = [](const std::unique_ptr<Worker>& worker) {
        return std::pair(worker->live_requests(), worker->connections());
    };
    return **std::ranges::min_element(workers_, {}, load);
}

void Acceptor::refuse(int descriptor, const std::string& why) {
    metrics::count_refusal(slot_, Errc::too_many_connections);
    const auto& snapshot = *snapshots_.get();
    if (snapshot.tls == nullptr) {
        Random random(static_cast<std::uint64_t>(
            std::chrono::steady_clock::now().time_since_epoch().count()));
        const auto answer =
            bare_refusal({Errc::too_many_connections, Origin::policy, why},
                         RequestId(std::chrono::system_clock::now(), random).view());
        ::send(descriptor, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        ::shutdown(descriptor, SHUT_WR);
    }
    ::close(descriptor);
}

}  // namespace millrace::gateway

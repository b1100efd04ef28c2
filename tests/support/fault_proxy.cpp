#include "tests/support/fault_proxy.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

namespace millrace::test {

namespace {

// Keys of epoll events. A connection has two, one per side.
constexpr std::uint64_t kWake = 0;
constexpr std::uint64_t kListener = 1;
enum Side : std::uint64_t { client_side = 0, server_side = 1 };

constexpr std::uint64_t key_of(std::uint64_t connection, Side side) {
    return 2 + connection * 2 + side;
}

void send_at_once(const Fd& socket) {
    const int on = 1;
    ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

/// An accepted connection and the one to the server. Thread-safety: the proxy's thread only.
class FaultProxy::Connection {
public:
    Connection(Fd client, Fd server, std::optional<FaultPlan> own, FaultProxy& proxy)
        : client_(std::move(client)),
          server_(std::move(server)),
          own_(std::move(own)),
          to_server_(client_.get(), server_.get(), proxy.to_server_),
          to_client_(server_.get(), client_.get(), proxy.to_client_) {}

    void mark_ready(Side side, bool failed) {
        due_ = Instant::min();
        if (failed) {
            (side == client_side ? to_server_ : to_client_).source_failed();
        }
    }

    Instant due() const { return due_; }

    /// False when the connection is over.
    bool step(const FaultPlan& common, Instant now, Random& random) {
        const FaultPlan& plan = own_ ? *own_ : common;
        const Instant reset_at = std::min(reset_time(plan.to_server), reset_time(plan.to_client));
        const auto up = to_server_.step(plan.to_server, now, random);
        const auto down = to_client_.step(plan.to_client, now, random);
        using enum FaultPipe::State;
        if (reset_at <= now || up == reset || down == reset ||
            (up == unreachable && !plan.to_client.half_open) ||
            (down == unreachable && !plan.to_server.half_open)) {
            reset_both();
            return false;
        }
        if (up == close || down == close) {
            half_close(client_);
            half_close(server_);
            to_server_.mute();
            to_client_.mute();
            return step(common, now, random);
        }
        if (up == unreachable || down == unreachable) {
            (up == unreachable ? to_server_ : to_client_).mute();
            return step(common, now, random);
        }
        due_ = std::min({to_server_.due(), to_client_.due(), reset_at});
        return up == open || down == open;
    }

    void reset_both() {
        reset_connection(client_);
        reset_connection(server_);
    }

private:
    Instant reset_time(const Toxics& toxics) const {
        return toxics.reset_in ? opened_ + *toxics.reset_in : Instant::max();
    }

    Fd client_;
    Fd server_;
    std::optional<FaultPlan> own_;
    FaultPipe to_server_;
    FaultPipe to_client_;
    Instant opened_ = std::chrono::steady_clock::now();
    Instant due_ = Instant::min();
};

FaultProxy::Chooser FaultProxy::in_order(std::vector<FaultPlan> plans) {
    return [plans = std::move(plans), next = std::size_t{0}](std::size_t) mutable {
        return next < plans.size() ? std::optional(plans[next++]) : std::nullopt;
    };
}

FaultProxy::FaultProxy(std::uint16_t server, const FaultPlan& plan, std::uint64_t seed)
    // Not a port that the kernel hands out: it has to be free again after a time of being down.
    : server_(server),
      port_(free_port()),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      random_(seed) {
    orders_.plan = plan;
    watch(wake_.get(), kWake, EPOLLIN);
    listen();
    thread_ = std::thread([this] { run(); });
}

FaultProxy::~FaultProxy() {
    {
        const std::lock_guard lock(mutex_);
        orders_.stop = true;
        ::eventfd_write(wake_.get(), 1);
    }
    thread_.join();
}

/// Changes something under the lock and waits until the thread works by it.
void FaultProxy::order(const std::function<void()>& change) {
    std::unique_lock lock(mutex_);
    change();
    orders_.changed = true;
    const auto mine = ++ordered_;
    ::eventfd_write(wake_.get(), 1);
    carried_out_.wait_for(lock, kPatience, [&] { return done_ >= mine; });
}

void FaultProxy::set(const FaultPlan& plan) {
    order([&] { orders_.plan = plan; });
}

void FaultProxy::choose(Chooser chooser) {
    order([&] { chooser_ = std::move(chooser); });
}

void FaultProxy::reset_all() {
    order([&] { orders_.reset_all = true; });
}

void FaultProxy::down() {
    order([&] { listener_.reset(); });
}

void FaultProxy::up() {
    order([&] {
        if (!listener_) {
            listen();
        }
    });
}

FaultProxy::Counters FaultProxy::counters() const {
    return {.accepted = accepted_, .open = open_, .to_server = to_server_, .to_client = to_client_};
}

bool FaultProxy::wait_until_quiet(Millis limit) const {
    return eventually([this] { return open_ == 0; }, limit);
}

void FaultProxy::listen() {
    listener_ = listen_on(port_);
    ::fcntl(listener_.get(), F_SETFL, O_NONBLOCK);
    watch(listener_.get(), kListener, EPOLLIN);
}

void FaultProxy::watch(int fd, std::uint64_t key, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void FaultProxy::run() {
    Instant due = Instant::max();
    for (;;) {
        const bool accepting = wait_for_events(due);
        std::uint64_t taken = 0;
        const auto orders = take_orders(taken);
        if (orders.stop) {
            return;
        }
        if (accepting) {
            accept_all();
        }
        due = step_all(orders);
        const std::lock_guard lock(mutex_);
        done_ = taken;
        carried_out_.notify_all();
    }
}

/// Marks connections whose sockets are ready; true when the listener is.
bool FaultProxy::wait_for_events(Instant until) {
    const auto left = std::max(until - std::chrono::steady_clock::now(), Duration(0));
    const auto whole = std::chrono::floor<std::chrono::seconds>(left);
    const timespec limit{.tv_sec = whole.count(), .tv_nsec = (left - whole).count()};
    std::array<epoll_event, 128> events{};
    const int count = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     until == Instant::max() ? nullptr : &limit, nullptr);
    bool accepting = false;
    for (int i = 0; i < count; ++i) {
        const auto& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == kWake) {
            eventfd_t ignored = 0;
            ::eventfd_read(wake_.get(), &ignored);
        } else if (event.data.u64 == kListener) {
            accepting = true;
        } else {
            mark_ready(event.data.u64, event.events);
        }
    }
    return accepting;
}

void FaultProxy::mark_ready(std::uint64_t key, std::uint32_t events) {
    const auto found = connections_.find((key - 2) / 2);
    if (found != connections_.end()) {
        found->second->mark_ready((key - 2) % 2 == 0 ? client_side : server_side,
                                  (events & EPOLLERR) != 0);
    }
}

FaultProxy::Orders FaultProxy::take_orders(std::uint64_t& taken) {
    const std::lock_guard lock(mutex_);
    taken = ordered_;
    auto orders = orders_;
    orders_.changed = orders_.reset_all = false;
    return orders;
}

void FaultProxy::accept_all() {
    const std::lock_guard lock(mutex_);
    while (listener_) {
        Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!client) {
            return;
        }
        add(std::move(client), chooser_ ? chooser_(accepted_) : std::nullopt);
    }
}

void FaultProxy::add(Fd client, std::optional<FaultPlan> own) {
    const std::uint64_t id = accepted_++;
    Fd server = begin_connect(loopback(), server_);
    if (!server) {
        reset_connection(client);
        return;
    }
    send_at_once(client);
    send_at_once(server);
    // Edge-triggered: a step always reads and writes as far as it goes, so nothing is asked twice.
    constexpr std::uint32_t kAll = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    const int client_fd = client.get();
    const int server_fd = server.get();
    connections_[id] =
        std::make_unique<Connection>(std::move(client), std::move(server), std::move(own), *this);
    ++open_;
    watch(client_fd, key_of(id, client_side), kAll);
    watch(server_fd, key_of(id, server_side), kAll);
}

/// Steps every connection that has something to do; returns when the next one will.
Instant FaultProxy::step_all(const Orders& orders) {
    const Instant now = std::chrono::steady_clock::now();
    Instant next = Instant::max();
    for (auto it = connections_.begin(); it != connections_.end();) {
        auto& connection = *it->second;
        bool alive = true;
        if (orders.reset_all) {
            connection.reset_both();
            alive = false;
        } else if (orders.changed || connection.due() <= now) {
            alive = connection.step(orders.plan, now, random_);
        }
        if (alive) {
            next = std::min(next, connection.due());
            ++it;
        } else {
            it = connections_.erase(it);
            --open_;
        }
    }
    return next;
}

}  // namespace millrace::test

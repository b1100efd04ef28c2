#include "bench/vllm_sim/loop.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "config/base/assert.hpp"

namespace millrace::vllm_sim {
namespace {

constexpr std::uint64_t kListenTag = ~0ULL;
constexpr std::uint64_t kWakeTag = ~0ULL - 1;
constexpr std::size_t kReadBuffer = 64U << 10U;
constexpr int kMaxEvents = 256;
constexpr int kFdBits = 24;  ///< an event's tag is serial << 24 | fd

std::string http_date(std::int64_t unix_seconds) {
    const std::time_t time = unix_seconds;
    std::tm parts{};
    ::gmtime_r(&time, &parts);
    char text[64];
    const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return {text, size};
}

void add(int epoll, int fd, std::uint32_t events, std::uint64_t tag) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

}  // namespace

Loop::Loop(Shared& shared, int listen_fd, RequestLog log, std::uint64_t seed)
    : engine_(shared, seed),
      log_(std::move(log)),
      listen_fd_(listen_fd),
      epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      event_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      read_buffer_(kReadBuffer, '\0') {
    MILLRACE_ASSERT(epoll_fd_ >= 0 && event_fd_ >= 0);
    if (shared.options.batch) {
        model_.emplace(shared.options.limits, shared.options.cost);
    }
    add(epoll_fd_, listen_fd_, EPOLLIN | EPOLLEXCLUSIVE, kListenTag);
    add(epoll_fd_, event_fd_, EPOLLIN, kWakeTag);
    update_clock();
}

Loop::~Loop() {
    connections_.clear();
    ::close(event_fd_);
    ::close(epoll_fd_);
}

void Loop::wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(::write(event_fd_, &one, sizeof one));
}

void Loop::update_clock() {
    engine_.now = std::chrono::steady_clock::now();
    const std::int64_t seconds = std::time(nullptr);
    if (seconds != engine_.unix_seconds) {
        engine_.unix_seconds = seconds;
        engine_.date = http_date(seconds);
    }
}

void Loop::run() {
    while (!shutting_down_ || (open_ > 0 && engine_.now < *deadline_)) {
        if (wait() < 0) {
            break;
        }
        run_timers();
        run_model();
        if (engine_.shared.stopping.load(std::memory_order_acquire) && !shutting_down_) {
            begin_shutdown();
        }
        bury();
    }
    for (const auto& connection : connections_) {
        if (connection) {
            connection->shut_down(true);
        }
    }
    bury();
    log_.flush();
}

void Loop::begin_shutdown() {
    shutting_down_ = true;
    const std::chrono::duration<double> timeout(engine_.shared.options.shutdown_timeout);
    deadline_ = engine_.now + std::chrono::duration_cast<Duration>(timeout);
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, listen_fd_, nullptr);
    accept_again_.reset();
    for (const auto& connection : connections_) {
        if (connection) {
            connection->shut_down(*deadline_ <= engine_.now);
        }
    }
}

/// One round of epoll_wait; the log is written only when nothing else is to be done.
int Loop::wait() {
    std::array<epoll_event, kMaxEvents> events{};
    int count = 0;
    if (log_.pending()) {
        count = ::epoll_wait(epoll_fd_, events.data(), kMaxEvents, 0);
        if (count == 0) {
            log_.flush();
        }
    }
    if (count == 0) {
        timespec timeout{};
        const auto until = until_next();
        if (until) {
            timeout.tv_sec = *until / std::chrono::seconds(1);
            timeout.tv_nsec = (*until % std::chrono::seconds(1)).count();
        }
        count = ::epoll_pwait2(epoll_fd_, events.data(), kMaxEvents, until ? &timeout : nullptr,
                               nullptr);
    }
    if (count < 0) {
        return errno == EINTR ? 0 : -1;
    }
    update_clock();
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        dispatch(event.data.u64, event.events);
    }
    return count;
}

std::optional<Duration> Loop::until_next() const {
    std::optional<Instant> next;
    const auto consider = [&next](std::optional<Instant> at) {
        if (at && (!next || *at < *next)) {
            next = at;
        }
    };
    if (!timers_.empty()) {
        consider(timers_.top().at);
    }
    if (model_) {
        consider(model_->next());
    }
    consider(accept_again_);
    consider(deadline_);
    if (!next) {
        return std::nullopt;
    }
    return std::max(Duration::zero(), *next - std::chrono::steady_clock::now());
}

void Loop::dispatch(std::uint64_t tag, std::uint32_t events) {
    if (tag == kListenTag) {
        accept_all();
        return;
    }
    if (tag == kWakeTag) {
        std::uint64_t count = 0;
        static_cast<void>(::read(event_fd_, &count, sizeof count));
        return;
    }
    const int fd = static_cast<int>(tag & ((1U << kFdBits) - 1));
    if (Connection* const connection = find(fd, tag >> kFdBits)) {
        connection->on_event(events);
    }
}

void Loop::accept_all() {
    constexpr int kAtOnce = 64;
    for (int i = 0; i < kAtOnce; ++i) {
        const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                // The queue stays readable: look away for a while instead of spinning.
                ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, listen_fd_, nullptr);
                accept_again_ = engine_.now + std::chrono::milliseconds(50);
            }
            return;
        }
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        const auto slot = static_cast<std::size_t>(fd);
        if (slot >= connections_.size()) {
            connections_.resize(slot + 1);
        }
        connections_[slot] = std::make_unique<Connection>(*this, fd, next_serial_++);
        ++open_;
        watch(*connections_[slot], EPOLLIN | EPOLLRDHUP, true);
    }
}

Connection* Loop::find(int fd, std::uint64_t serial) const {
    const auto slot = static_cast<std::size_t>(fd);
    if (slot >= connections_.size() || !connections_[slot]) {
        return nullptr;
    }
    Connection* const connection = connections_[slot].get();
    return connection->closed() || connection->serial() != serial ? nullptr : connection;
}

void Loop::schedule(Connection& connection, Timer timer, Instant at) {
    const std::uint32_t generation = ++connection.timer_generation[static_cast<std::size_t>(timer)];
    timers_.push({at, connection.fd(), connection.serial(), timer, generation});
}

void Loop::watch(const Connection& connection, std::uint32_t events, bool add) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = connection.serial() << kFdBits | static_cast<std::uint32_t>(connection.fd());
    ::epoll_ctl(epoll_fd_, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, connection.fd(), &event);
}

void Loop::run_timers() {
    while (!timers_.empty() && timers_.top().at <= engine_.now) {
        const Entry entry = timers_.top();
        timers_.pop();
        Connection* const connection = find(entry.fd, entry.serial);
        if (connection != nullptr &&
            connection->timer_generation[static_cast<std::size_t>(entry.timer)] ==
                entry.generation) {
            connection->on_timer(entry.timer);
        }
    }
    if (accept_again_ && *accept_again_ <= engine_.now) {
        accept_again_.reset();
        add(epoll_fd_, listen_fd_, EPOLLIN | EPOLLEXCLUSIVE, kListenTag);
    }
}

void Loop::run_model() {
    if (!model_) {
        return;
    }
    emissions_.clear();
    model_->advance(engine_.now, emissions_);
    for (const Emission& emission : emissions_) {
        const auto found = sequences_.find(emission.id);
        if (found == sequences_.end()) {
            continue;
        }
        Connection& connection = *found->second;
        if (emission.last) {
            sequences_.erase(found);
        }
        connection.allow(emission.index + 1);
    }
    engine_.stats.running.set(model_->running());
    engine_.stats.waiting.set(model_->waiting());
    engine_.stats.kv_usage.set(model_->kv_usage());
    engine_.stats.preemptions.set(model_->preemptions());
}

bool Loop::submit(Connection& connection, const Reply& reply) {
    if (!model_->submit(connection.serial(), reply.prompt_tokens, reply.cached_tokens,
                        reply.steps(), engine_.now)) {
        return false;
    }
    sequences_[connection.serial()] = &connection;
    return true;
}

void Loop::withdraw(const Connection& connection) {
    if (model_ && sequences_.erase(connection.serial()) > 0) {
        model_->cancel(connection.serial());
    }
}

void Loop::closed(const Connection& connection) {
    withdraw(connection);
    graveyard_.push_back(connection.fd());
}

/// Connections die at the end of a round, because they may be on the stack when they close.
void Loop::bury() {
    for (const int fd : graveyard_) {
        connections_[static_cast<std::size_t>(fd)].reset();
        --open_;
    }
    graveyard_.clear();
}

}  // namespace millrace::vllm_sim

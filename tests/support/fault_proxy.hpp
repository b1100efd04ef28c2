// A TCP proxy on loopback that breaks connections on purpose: slow, cut, reset, sliced, silent or
// half-open, per direction, per connection, and changed while it runs. It stands between the
// gateway and a backend, or between a client and the gateway, and knows nothing of HTTP. One thread
// per proxy serves all its connections; what is random comes from a seed.
//
// Thread-safety: every method may be called from any thread; set(), choose(), reset_all(), down()
// and up() have taken effect when they return. The destructor ends the thread and closes every
// connection.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/deadline.hpp"
#include "tests/support/fault_pipe.hpp"
#include "tests/support/socket.hpp"

namespace millrace::test {

/// What happens to a connection; the server is the side that the proxy connects to.
struct FaultPlan {
    Toxics to_server{};
    Toxics to_client{};
};

/// The same in both directions.
inline FaultPlan both_ways(const Toxics& toxics) {
    return {.to_server = toxics, .to_client = toxics};
}

class FaultProxy {
public:
    /// A plan of its own for the connection with that index (from 0 over the proxy's life), or
    /// nullopt for the common one. Runs on the proxy's thread and must not call the proxy.
    using Chooser = std::function<std::optional<FaultPlan>(std::size_t connection)>;
    /// One plan per connection, in that order; after the last one the common plan.
    static Chooser in_order(std::vector<FaultPlan> plans);

    struct Counters {
        std::uint64_t accepted = 0;
        std::uint64_t open = 0;
        std::uint64_t to_server = 0;  ///< bytes passed on
        std::uint64_t to_client = 0;
    };

    /// Listens on a port of loopback() and connects to `server` there, once per accepted
    /// connection. When the server refuses, the client sees a reset; for a refusal there is down().
    explicit FaultProxy(std::uint16_t server, const FaultPlan& plan = {}, std::uint64_t seed = 1);
    ~FaultProxy();
    FaultProxy(const FaultProxy&) = delete;
    FaultProxy& operator=(const FaultProxy&) = delete;

    std::uint16_t port() const { return port_; }
    std::string url() const { return "http://" + loopback() + ':' + std::to_string(port_); }

    /// The common plan from here on, also of connections that are open and have none of their own.
    void set(const FaultPlan& plan);
    /// Asked for every connection from here on.
    void choose(Chooser chooser);
    /// RST to both sides of every open connection.
    void reset_all();
    /// Connecting is refused from here on; what is open stays.
    void down();
    /// Accepts again, on the same port.
    void up();

    Counters counters() const;
    /// True as soon as no connection is open.
    bool wait_until_quiet(Millis limit = kPatience) const;

private:
    class Connection;
    struct Orders {
        FaultPlan plan{};
        bool changed = false;
        bool reset_all = false;
        bool stop = false;
    };

    void order(const std::function<void()>& change);
    void listen();
    void run();
    bool wait_for_events(Instant until);
    Orders take_orders(std::uint64_t& taken);
    void accept_all();
    void add(Fd client, std::optional<FaultPlan> own);
    void watch(int fd, std::uint64_t key, std::uint32_t events) const;
    void mark_ready(std::uint64_t key, std::uint32_t events);
    Instant step_all(const Orders& orders);

    std::uint16_t server_;
    std::uint16_t port_;
    Fd epoll_;
    Fd wake_;

    mutable std::mutex mutex_;  ///< guards the members up to the next empty line
    std::condition_variable carried_out_;
    Orders orders_;
    std::uint64_t ordered_ = 0;
    std::uint64_t done_ = 0;
    Chooser chooser_;
    Fd listener_;

    // Of the proxy's thread.
    Random random_;
    std::map<std::uint64_t, std::unique_ptr<Connection>> connections_;

    std::atomic<std::uint64_t> accepted_{0};
    std::atomic<std::uint64_t> open_{0};
    std::atomic<std::uint64_t> to_server_{0};
    std::atomic<std::uint64_t> to_client_{0};
    std::thread thread_;
};

}  // namespace millrace::test

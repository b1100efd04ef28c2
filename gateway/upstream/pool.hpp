// UpstreamPool: one worker's kept-alive connections to endpoints.
//
// A connection is kept only while it is silent: any byte or FIN on an idle connection evicts it at
// once (that byte could be taken for the answer to the next request), and it leaves before the
// backend's own idle timeout. The most recently used one goes first. Connections are keyed by the
// endpoint's generation and the TLS identity they were verified with. Thread-safety: none; one per
// worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "config/base/clock.hpp"
#include "gateway/http1/response_parser.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/runtime/socket.hpp"
#include "gateway/runtime/timer_wheel.hpp"
#include "gateway/tls/context.hpp"

namespace millrace::gateway {

class UpstreamPool;

/// One TCP or TLS connection to one endpoint. Owned by the pool while idle and by an attempt while
/// in use.
struct Connection {
    Connection(Loop& loop, const boost::asio::ip::tcp& protocol) : socket(loop, protocol) {}

    Socket socket;
    http1::ResponseParser parser;
    std::uint64_t generation = 0;                 ///< of the endpoint it leads to
    std::shared_ptr<const TlsClientContext> tls;  ///< null = plain
    std::uint32_t requests = 0;                   ///< sent over it so far
    UpstreamPool* pool = nullptr;                 ///< set while idle
    Timer idle{[](void* self) { evict(self); }, this};

private:
    friend class UpstreamPool;
    static void evict(void* self);
};

class UpstreamPool {
public:
    explicit UpstreamPool(Loop& loop) : loop_(loop) {}
    UpstreamPool(const UpstreamPool&) = delete;
    UpstreamPool& operator=(const UpstreamPool&) = delete;

    /// The most recently used idle connection, or null.
    std::unique_ptr<Connection> take(std::uint64_t generation, const TlsClientContext* tls);

    /// Keeps `connection`, whose last response was read to its end and nothing beyond, unless
    /// `max_idle` are kept.
    void put(std::unique_ptr<Connection> connection, std::size_t max_idle, Duration idle_timeout);

    void clear() { idle_.clear(); }
    std::size_t idle_connections() const;
    /// Endpoints that something is remembered of. Those that are gone leave by and by: what was
    /// kept of them times out, and the rest is swept when there are twice as many as there were.
    std::size_t endpoints() const { return idle_.size(); }

private:
    friend struct Connection;
    void evict(Connection& connection);
    void sweep();

    Loop& loop_;
    std::unordered_map<std::uint64_t, std::vector<std::unique_ptr<Connection>>> idle_;
    std::size_t sweep_at_ = 64;
};

}  // namespace millrace::gateway

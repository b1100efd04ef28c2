// Worker: one thread with its own event loop, connections, upstream pool and counters. A session
// never leaves its worker, so nothing on the request path is locked.
//
// Thread-safety: adopt(), drain(), shorten_idle(), abort_all(), stop(), the counts and join() from
// any thread; the rest belongs to the worker's own thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "config/base/published.hpp"
#include "gateway/pipeline/mirror.hpp"
#include "gateway/pipeline/services.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "gateway/runtime/loop.hpp"
#include "gateway/server/request_states.hpp"
#include "gateway/server/session.hpp"

namespace millrace::gateway {

/// What workers share. Outlives them all.
struct SharedServices {
    const Clock& clock;
    Published<Snapshot>& snapshots;
    ByteBudget& budget;
    const routing::OverloadLadder& overload;
    openai::ResponseIds& response_ids;
    AccessLog* access_log;
    std::uint64_t prompt_secret;  ///< PromptHashing::secret, the same for all workers
    std::function<void(const std::string&)> on_bug;  ///< an exception ended a session; any thread
};

class Worker {
public:
    Worker(std::size_t index, const SharedServices& shared, metrics::Slot& slot,
           std::uint64_t seed);
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker();

    void start();
    /// Takes over an accepted, non-blocking socket. `on_closed` runs on the worker's thread when
    /// the connection is gone.
    void adopt(int descriptor, std::string address, std::function<void()> on_closed);
    /// Idle connections close, busy ones after their answer; new ones are served once.
    void drain(bool on);
    /// Connections that are idle already wait no longer than the overload ladder allows now.
    void shorten_idle();
    /// Every running request ends with the drain error.
    void abort_all();
    void stop();
    void join();

    std::uint32_t live_requests() const { return live_requests_.load(std::memory_order_relaxed); }
    std::uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }
    std::uint32_t sockets() const { return loop_.sockets(); }  ///< to clients and backends
    Duration loop_lag() const { return loop_.lag(); }

    // For sessions.
    class LiveRequest {
    public:
        explicit LiveRequest(Worker& worker) : worker_(worker) {
            worker_.live_requests_.fetch_add(1, std::memory_order_relaxed);
        }
        LiveRequest(const LiveRequest&) = delete;
        LiveRequest& operator=(const LiveRequest&) = delete;
        ~LiveRequest() { worker_.live_requests_.fetch_sub(1, std::memory_order_relaxed); }

    private:
        Worker& worker_;
    };
    Loop& loop() { return loop_; }
    Services& services() { return services_; }
    RequestStates& request_states() { return request_states_; }
    std::shared_ptr<const Snapshot> snapshot() { return snapshots_.get(); }
    bool is_draining() const { return draining_; }

private:
    struct Held;

    const SharedServices shared_;
    metrics::Slot& slot_;
    Loop loop_;
    UpstreamPool upstreams_;
    routing::EndpointView endpoints_;
    Published<Snapshot>::Reader snapshots_;
    ScratchPool scratch_;
    Mirrors mirrors_;
    RequestStates request_states_;
    routing::PromptBlocks prompt_blocks_;
    Services services_;
    std::unordered_map<Session*, std::unique_ptr<Held>> sessions_;
    bool draining_ = false;
    alignas(64) std::atomic<std::uint32_t> live_requests_{0};
    std::atomic<std::uint32_t> connections_{0};
    std::thread thread_;
};

}  // namespace millrace::gateway

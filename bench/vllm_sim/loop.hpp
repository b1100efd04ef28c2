// One event loop: a thread's epoll set, its connections, timers and, in batch mode, the model.
// Level-triggered epoll; timers are a heap whose stale entries are skipped by generation.
// Thread-safety: run() belongs to one thread; only wake() may be called from elsewhere (it is also
// async-signal-safe).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/vllm_sim/connection.hpp"
#include "bench/vllm_sim/log.hpp"
#include "bench/vllm_sim/model.hpp"
#include "bench/vllm_sim/plan.hpp"

namespace millrace::vllm_sim {

class Loop {
public:
    /// Borrows the listening socket, which is non-blocking and may be shared with other loops.
    Loop(Shared& shared, int listen_fd, RequestLog log, std::uint64_t seed);
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

    /// Until Shared::stopping is set and, with a drain, the last answer is out.
    void run();
    void wake() const;

    Engine& engine() { return engine_; }
    RequestLog& log() { return log_; }
    const LoopStats& stats() const { return engine_.stats; }
    std::string& read_buffer() { return read_buffer_; }

    // For connections.
    void schedule(Connection& connection, Timer timer, Instant at);
    static void cancel(Connection& connection, Timer timer) {
        ++connection.timer_generation[static_cast<std::size_t>(timer)];
    }
    void watch(const Connection& connection, std::uint32_t events, bool add = false) const;
    /// False if the request can never fit.
    bool submit(Connection& connection, const Reply& reply);
    void withdraw(const Connection& connection);
    void closed(const Connection& connection);

private:
    struct Entry {
        Instant at;
        int fd = -1;
        std::uint64_t serial = 0;
        Timer timer{};
        std::uint32_t generation = 0;
        bool operator>(const Entry& other) const { return at > other.at; }
    };

    void update_clock();
    void accept_all();
    int wait();
    std::optional<Duration> until_next() const;
    void dispatch(std::uint64_t tag, std::uint32_t events);
    void run_timers();
    void run_model();
    void begin_shutdown();
    void bury();
    Connection* find(int fd, std::uint64_t serial) const;

    Engine engine_;
    RequestLog log_;
    int listen_fd_;
    int epoll_fd_;
    int event_fd_;
    std::uint64_t next_serial_ = 1;
    std::vector<std::unique_ptr<Connection>> connections_;  ///< by file descriptor
    std::size_t open_ = 0;
    std::vector<int> graveyard_;  ///< closed during this round
    std::priority_queue<Entry, std::vector<Entry>, std::greater<>> timers_;
    std::optional<BatchModel> model_;
    std::unordered_map<SequenceId, Connection*> sequences_;  ///< id = serial of the connection
    std::vector<Emission> emissions_;
    std::string read_buffer_;
    std::optional<Instant> accept_again_;  ///< after running out of file descriptors
    std::optional<Instant> deadline_;      ///< of the drain
    bool shutting_down_ = false;
};

}  // namespace millrace::vllm_sim

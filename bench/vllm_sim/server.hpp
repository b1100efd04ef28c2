// The simulator as an object: listening socket, event loops, threads. Tests start it in their own
// process; `vllm-sim` is little more than this and a command line. Thread-safety: start() and
// wait() from one thread; stop() from any thread or signal handler.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "bench/vllm_sim/options.hpp"
#include "config/base/error.hpp"

namespace millrace::vllm_sim {

class Loop;
struct Shared;

class Server {
public:
    explicit Server(Options options);
    ~Server();  ///< stops and waits
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Listens and runs the loops; the port that it got.
    Result<std::uint16_t> start();

    /// Ends all connections at once, or after Options::shutdown_timeout at the latest.
    /// Async-signal-safe.
    void stop();
    void wait();

private:
    Result<std::uint16_t> listen();

    std::unique_ptr<Shared> shared_;
    int listen_fd_ = -1;
    std::vector<std::unique_ptr<Loop>> loops_;
    std::vector<std::thread> threads_;
};

}  // namespace millrace::vllm_sim

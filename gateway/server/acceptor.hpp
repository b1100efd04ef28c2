// Acceptor: the one thread that accepts connections and hands each to the worker with the fewest
// live requests.
//
// LLM streams are long, so who accepts decides who is loaded. Over a limit the client is told so
// before anything is read. Running out of file descriptors neither spins nor leaves clients in the
// queue unanswered: a reserved descriptor is given up to accept and close one, then the acceptor
// pauses. Thread-safety: start(), stop() and destruction from the owner's thread; limits follow the
// published snapshot.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/base/published.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "gateway/server/worker.hpp"
#include "metrics/slot.hpp"

namespace millrace::gateway {

/// Connections per source address, for sources that are limited.
class SourceCounts {
public:
    /// Counts one more unless `limit` are there already.
    bool try_add(const std::string& source, std::uint32_t limit);
    void remove(const std::string& source);

private:
    std::mutex mutex_;
    std::map<std::string, std::uint32_t> counts_;
};

class Acceptor {
public:
    /// `listening` is a bound, listening socket that stays the owner's. `slot` counts refusals and
    /// belongs to this thread.
    Acceptor(int listening, std::vector<std::unique_ptr<Worker>>& workers,
             Published<Snapshot>& snapshots, metrics::Slot& slot);
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    ~Acceptor() { stop(); }

    void start();
    /// Accepts nothing more; what the kernel has queued is left to whoever inherits the socket.
    void stop();

private:
    void run();
    void accept_all();
    void hand_over(int descriptor, const std::string& address);
    void refuse(int descriptor, const std::string& why);
    void survive_exhaustion();
    Worker& least_loaded();

    int listening_;
    std::vector<std::unique_ptr<Worker>>& workers_;
    Published<Snapshot>::Reader snapshots_;
    metrics::Slot& slot_;
    std::shared_ptr<SourceCounts> sources_ = std::make_shared<SourceCounts>();
    int reserve_ = -1;
    int wake_ = -1;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace millrace::gateway

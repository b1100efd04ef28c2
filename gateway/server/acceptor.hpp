// Acceptor: the one thread that accepts connections and hands each to the worker with the fewest
// live requests.
//
// LLM streams are long, so who accepts decides who is loaded. Over a limit the client is told so
// before anything is read; on the last step of the overload ladder nothing is accepted. Running out
// of file descriptors neither spins nor leaves clients in the queue unanswered: a reserved
// descriptor is given up to accept and close one, then the acceptor pauses. Thread-safety: start(),
// stop() and destruction from the owner's thread; limits follow the published snapshot.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "config/base/published.hpp"
#include "gateway/pipeline/snapshot.hpp"
#include "gateway/server/source_counts.hpp"
#include "gateway/server/worker.hpp"
#include "metrics/slot.hpp"
#include "routing/overload.hpp"

namespace millrace::gateway {

class Acceptor {
public:
    /// `listening` is a bound, listening socket that stays the owner's. `slot` counts refusals and
    /// belongs to this thread.
    Acceptor(int listening, std::vector<std::unique_ptr<Worker>>& workers,
             Published<Snapshot>& snapshots, const routing::OverloadLadder& overload,
             metrics::Slot& slot);
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    ~Acceptor() { stop(); }

    void start();
    /// Accepts nothing more; what the kernel has queued is left to whoever inherits the socket.
    void stop();

private:
    void run();
    void accept_all();
    bool accepts() const;
    void hand_over(int descriptor, const std::string& address);
    void refuse(int descriptor, const std::string& why);
    void survive_exhaustion();
    Worker& least_loaded();

    int listening_;
    std::vector<std::unique_ptr<Worker>>& workers_;
    Published<Snapshot>::Reader snapshots_;
    const routing::OverloadLadder& overload_;
    metrics::Slot& slot_;
    std::shared_ptr<SourceCounts> sources_ = std::make_shared<SourceCounts>();
    int reserve_ = -1;
    int wake_ = -1;
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace millrace::gateway

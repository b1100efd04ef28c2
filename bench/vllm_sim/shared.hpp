// What all event loops share: faults to come, sleep state, the live requests, stored responses.
// Thread-safety: every member function may be called from any loop. The live set is touched only by
// requests that outlast one event, so the fast path takes no lock here.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/vllm_sim/faults.hpp"
#include "bench/vllm_sim/options.hpp"
#include "bench/vllm_sim/reply.hpp"
#include "bench/vllm_sim/stats.hpp"

namespace millrace::vllm_sim {

/// Ids of requests that are being computed or sent. The same id may be live more than once
/// (retries).
class LiveSet {
public:
    void insert(const std::string& id);
    void erase(const std::string& id);
    std::vector<std::string> ids() const;

private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, int> ids_;
};

struct StoredResponse {
    Reply reply;
    std::string input;  ///< raw JSON
    Instant done_at;    ///< background ones are in progress until then
    bool background = false;
    bool cancelled = false;
};

/// Responses by id, the oldest out first.
class ResponseStore {
public:
    static constexpr std::size_t kCapacity = 10'000;

    void put(const std::string& id, StoredResponse response);
    std::optional<StoredResponse> find(const std::string& id) const;
    bool erase(const std::string& id);
    /// False if there is none, or it is not a background response in progress.
    bool cancel(const std::string& id, Instant now);

private:
    mutable std::mutex mutex_;
    std::unordered_map<std::string, StoredResponse> responses_;
    std::deque<std::string> order_;
};

struct Shared {
    explicit Shared(Options configured) : options(std::move(configured)) {
        faults.set(options.fault, options.fault_every, ~0ULL);
    }

    const Options options;
    FaultPlan faults;
    LiveSet live;
    ResponseStore responses;
    std::atomic<int> sleep_level{0};
    std::atomic<bool> healthy{true};
    std::atomic<bool> stopping{false};
    std::vector<const LoopStats*> loops;  ///< complete before the first loop runs
};

}  // namespace millrace::vllm_sim

// What is said of one model: who serves it, in what order, and what happens when that fails.
// Part of config/model.hpp, which says how values are written. Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "config/sections/choice.hpp"
#include "config/sections/price.hpp"
#include "config/sections/rollouts.hpp"

namespace millrace::config {

using namespace std::chrono_literals;

/// What happens to the share of a variant without a ready endpoint.
enum class Unready : std::uint8_t {
    redraw,       ///< ready siblings take it; when there are none, it waits
    hold,         ///< it waits
    unavailable,  ///< 503 at once
};

enum class WorkloadClass : std::uint8_t { realtime, interactive, batch };

/// What keeps requests of one caller on one variant. At most one key source.
struct Sticky {
    std::string header;    ///< name of a request header; empty = not used
    bool api_key = false;  ///< the authenticated key's id
    bool operator==(const Sticky&) const = default;
};

struct Variant {
    std::string name;
    std::uint32_t weight = 1;  ///< 0..1 000 000; 0 = no traffic
    std::string backend;       ///< key of `backends`
    std::string served_name;   ///< model name sent to the backend; empty = the effective model id
    bool operator==(const Variant&) const = default;
};

/// Another attempt after one that failed before the first byte of its answer was relayed.
struct Retry {
    std::uint32_t attempts = 3;         ///< the first one included
    std::uint32_t budget_percent = 20;  ///< retries among the requests in flight; three always may
    /// A chat stream whose backend died goes on from another endpoint of the pool.
    bool continue_streams = false;
    bool operator==(const Retry&) const = default;
};

/// Comments in a stream that has to wait for an endpoint, so that nobody takes it for dead.
struct Heartbeat {
    Duration after = 0s;  ///< of silence; 0 = none: the first one makes the status 200
    Duration every = 15s;
    bool operator==(const Heartbeat&) const = default;
};

/// What the choice of an endpoint looks at.
enum class Affinity : std::uint8_t { adapter, session, prefix, load };

/// What makes requests one session; the first one that a request has.
struct SessionKey {
    std::string header;    ///< name of a request header; empty = not used
    std::string field;     ///< name of a top-level text member of the body; empty = not used
    bool api_key = false;  ///< the authenticated key's id
    bool operator==(const SessionKey&) const = default;
};

/// How one of a backend's endpoints is chosen.
struct Picker {
    std::vector<Affinity>
        by;  ///< in this order, then the fewest in flight; empty = of two at random
    /// How far above its share of the load affinity may push an endpoint.
    std::uint32_t guard_percent = 150;
    SessionKey session;
    bool operator==(const Picker&) const = default;
};

/// Where a request goes when its own pool has failed it.
struct Fallback {
    std::string model;    ///< id of a configured model
    std::string variant;  ///< empty = by the model's weights
    bool operator==(const Fallback&) const = default;
};

/// When a request goes to a fallback instead of waiting.
struct Overflow {
    Duration after = 0s;  ///< of waiting, passed and predicted; 0 = never
    bool operator==(const Overflow&) const = default;
};

/// A second attempt for requests that are late with their first content token.
struct Hedge {
    Duration after = 0s;               ///< 0 = the learned 95th percentile
    std::uint32_t budget_percent = 5;  ///< second attempts among the requests in flight
    bool operator==(const Hedge&) const = default;
};

/// Copies of requests, whose answers nobody sees.
struct Mirror {
    std::string backend;          ///< key of `backends`
    std::uint32_t percent = 100;  ///< of the requests
    std::string served_name;      ///< empty = the name that the original carries
    bool operator==(const Mirror&) const = default;
};

struct Model {
    std::string id;  ///< ^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$, no `..`
    std::vector<std::string> aliases;
    WorkloadClass workload_class = WorkloadClass::interactive;  ///< key `class`; label of metrics
    std::uint32_t priority = 100;  ///< band in the queue of the pool; higher goes first
    // Exactly one of the next three; one that chooses another model has no policy of its own.
    std::vector<Variant> variants;
    std::optional<Rollout> rollout;  ///< instead of the variants' weights
    std::vector<ModelRule> rules;
    std::optional<AutoModel> automatic;  ///< key `auto`
    Price price;
    Sticky sticky;
    Picker picker;
    Unready unready = Unready::redraw;
    Retry retry;
    Heartbeat heartbeat;
    std::vector<Fallback> fallback;  ///< in this order
    Overflow overflow;
    std::optional<Hedge> hedge;         ///< absent = no second attempts
    std::optional<Mirror> mirror;       ///< absent = no copies
    std::string owned_by = "millrace";  ///< shown by /v1/models
    bool operator==(const Model&) const = default;
};

}  // namespace millrace::config

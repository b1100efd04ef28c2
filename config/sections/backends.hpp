// What is said of one backend: its endpoints, how they are reached and watched, and who waits.
// Part of config/model.hpp, which says how values are written. Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/secret.hpp"
#include "config/sections/price.hpp"
#include "config/sections/sizes.hpp"

namespace millrace::config {

using namespace std::chrono_literals;

/// Timeouts towards backends. Per backend, overridable per HTTPRoute rule (request,
/// backendRequest).
struct UpstreamTimeouts {
    Duration connect = 2s;
    Duration first_byte = 600s;   ///< request sent → response head
    Duration first_token = 600s;  ///< request sent → first content token of a stream
    Duration idle = 120s;         ///< silence in a stream or body after the first byte
    Duration total = 0s;          ///< whole exchange; 0 = off
    bool operator==(const UpstreamTimeouts&) const = default;
};

enum class ContinuousUsage : std::uint8_t { automatic, on, off };

/// How usage is asked from a backend in streamed chat and completions (never in Responses or
/// Messages).
struct UsageOptions {
    bool final = true;
    ContinuousUsage continuous =
        ContinuousUsage::automatic;  ///< `auto` = until the backend refuses the field
    bool operator==(const UsageOptions&) const = default;
};

/// Every address of a name becomes an endpoint; resolved on the control thread, last good answer
/// kept.
struct DnsEndpoints {
    std::string name;
    std::uint16_t port = 8000;
    bool https = false;
    Duration refresh = 30s;
    bool operator==(const DnsEndpoints&) const = default;
};

struct Endpoints {
    std::vector<std::string> static_urls;  ///< key `static`
    std::optional<DnsEndpoints> dns;
    bool operator==(const Endpoints&) const = default;
};

/// Requests that wait for an endpoint of a backend, over all models and workers.
struct Queue {
    std::uint32_t requests = 2'000;
    std::uint64_t bytes = 256 * kMiB;   ///< of their bodies; inside the byte budget
    std::uint32_t tenant_requests = 0;  ///< of one tenant; 0 = only `requests` counts
    Duration timeout = 60s;             ///< while endpoints are ready and busy
    Duration hold = 300s;               ///< while no endpoint is ready
    bool operator==(const Queue&) const = default;
};

/// Questions to each endpoint, whether it is well.
struct HealthCheck {
    std::string path = "/health";
    Duration interval = 5s;
    Duration timeout = 2s;
    std::uint32_t unhealthy_after = 3;  ///< failed checks in a row
    std::uint32_t healthy_after = 1;    ///< successful ones
    bool operator==(const HealthCheck&) const = default;
};

/// What each endpoint's own metrics say about its load. Advice: without it everything still works.
struct EngineMetrics {
    std::string path = "/metrics";
    Duration interval = 1s;
    Duration max_age = 5s;  ///< older figures are not used
    bool operator==(const EngineMetrics&) const = default;
};

/// When an endpoint is sent no new requests because of what came of earlier ones.
struct Outliers {
    std::uint32_t failures = 5;          ///< in a row; 0 = never
    std::uint32_t failure_percent = 50;  ///< of 20 attempts or more within 10 s; 0 = never
    /// Mean time to first token, of the median of the other endpoints'; 0 = never.
    std::uint32_t first_token_percent = 0;
    Duration ejection = 10s;  ///< times the number of ejections in a row
    Duration max_ejection = 300s;
    std::uint32_t max_ejected_percent = 50;
    bool operator==(const Outliers&) const = default;
};

/// TLS towards a backend (https endpoints).
struct UpstreamTls {
    std::string ca;           ///< PEM bundle; empty = system store
    std::string server_name;  ///< SNI and verified name; empty = the endpoint's host
    std::string certificate;  ///< client certificate; empty = none
    std::string key;
    bool verify = true;
    bool operator==(const UpstreamTls&) const = default;
};

struct Backend {
    Endpoints endpoints;
    std::optional<Secret>
        api_key;  ///< sent as `Authorization: Bearer …`; the client's key never is
    UsageOptions usage;
    UpstreamTimeouts timeouts;
    UpstreamTls tls;
    /// Requests in flight that one endpoint takes at once; 0 = learned.
    std::uint32_t slots_per_endpoint = 0;
    /// Tokens that one endpoint's prefix cache holds: how much prefix affinity remembers.
    std::uint64_t prefix_cache_tokens = 500'000;
    Dollars cost_per_hour;  ///< of one endpoint; 0 = not known
    Queue queue;
    std::optional<HealthCheck> health;  ///< absent = endpoints are not asked
    Outliers outliers;
    std::optional<EngineMetrics> metrics;     ///< absent = endpoints are not asked
    std::uint32_t max_idle_connections = 64;  ///< per worker and endpoint
    Duration idle_timeout = 4s;  ///< of pooled connections; below the backend's own (uvicorn: 5 s)
    std::string
        kubernetes_namespace;  ///< key `namespace`; label of vllm_pending_requests; empty = own
    bool operator==(const Backend&) const = default;
};

}  // namespace millrace::config

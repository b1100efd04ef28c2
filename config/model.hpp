// What the operator says, as plain structs. Defaults are the member initialisers below and nowhere
// else.
//
// One `describe(visitor, T&)` per struct (config/describe.hpp) is the single source of the loader,
// the JSON Schema and docs/CONFIGURATION.md; a key enters here together with its behaviour.
// Durations are nanoseconds inside and `10s`, `250ms`, `5m` in YAML; sizes are bytes inside and
// `32MiB`, `64KiB` in YAML. A duration or size of 0 means "off" only where the comment says so.
// Thread-safety: plain values; a loaded Config is immutable and shared as a snapshot.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/secret.hpp"
#include "config/model_choice.hpp"

namespace millrace::config {

using namespace std::chrono_literals;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;

/// `host:port`; host may be an IPv4 literal, a bracketed IPv6 literal, or a name (names only for
/// upstreams).
struct Address {
    std::string host = "0.0.0.0";
    std::uint16_t port = 0;
    bool operator==(const Address&) const = default;
};

enum class ClientCertificates : std::uint8_t { none, optional, required };

/// TLS of a listener. Mozilla "intermediate": TLS 1.2 and 1.3, ALPN http/1.1; reloaded when the
/// files change.
struct ListenerTls {
    std::string certificate;  ///< PEM chain file
    std::string key;          ///< PEM key file
    ClientCertificates client_certificates = ClientCertificates::none;
    std::string client_ca;  ///< PEM bundle, required unless client_certificates is none
    bool operator==(const ListenerTls&) const = default;
};

struct DataListener {
    Address address{"0.0.0.0", 8080};
    std::optional<ListenerTls> tls;
    std::uint32_t max_connections = 10'000;
    /// Largest number of connections from one IPv4 address or IPv6 /64; 0 = no limit. Never applied
    /// to trusted proxies.
    std::uint32_t max_connections_per_source = 0;
    bool operator==(const DataListener&) const = default;
};

struct PlainListener {
    Address address;
    bool operator==(const PlainListener&) const = default;
};

/// The admin listener: drain, undrain, explain; bearer token required when set, and always off
/// loopback.
struct AdminListener {
    Address address{"127.0.0.1", 9091};
    std::optional<Secret> token;
    bool operator==(const AdminListener&) const = default;
};

struct Listeners {
    DataListener data;
    PlainListener metrics{{"0.0.0.0", 9090}};
    AdminListener admin;
    bool operator==(const Listeners&) const = default;
};

/// Limits on the form of requests (HTTP 4xx when crossed, naming the limit).
struct Limits {
    std::uint64_t start_line = 8 * kKiB;
    std::uint64_t header_block = 32 * kKiB;  ///< at most 60 KiB
    std::uint32_t header_fields = 100;
    std::uint64_t body = 32 * kMiB;
    /// All bodies and relay buffers together; 0 = a quarter of the cgroup's (else the machine's)
    /// memory.
    std::uint64_t buffered_bytes = 0;
    std::uint32_t json_depth = 64;
    std::uint32_t requests_per_connection = 10'000;
    bool operator==(const Limits&) const = default;
};

/// When the process as a whole counts as overloaded (routing/overload); what else it looks at has
/// a limit of its own: limits.buffered_bytes, listeners.data.max_connections, RLIMIT_NOFILE.
struct Overload {
    Duration loop_lag = 250ms;  ///< of a worker's event loop, sustained; 0 = not looked at
    bool operator==(const Overload&) const = default;
};

enum class Underscores : std::uint8_t { reject, drop };

/// Timeouts towards clients.
struct ClientTimeouts {
    Duration handshake = 5s;
    Duration header = 10s;
    Duration body_grace = 10s;           ///< before the minimum rate applies
    std::uint64_t body_rate = 1 * kKiB;  ///< bytes per second after the grace
    Duration keep_alive = 60s;
    Duration write_stall = 60s;  ///< client reads nothing for this long
    bool operator==(const ClientTimeouts&) const = default;
};

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

struct HttpOptions {
    Underscores header_underscores = Underscores::reject;
    bool debug_header = false;  ///< answers say in `x-millrace-endpoint` who gave them, and why
    bool operator==(const HttpOptions&) const = default;
};

enum class ModelConflict : std::uint8_t { refuse, rewrite };
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

/// How much worse a canary's error rate may be, in permille of its requests (10 = one point).
struct ErrorMargin {
    std::uint32_t tolerated_permille = 2;
    std::uint32_t harm_permille = 10;
    bool operator==(const ErrorMargin&) const = default;
};

/// How much longer a canary's time may be, in percent.
struct TimeMargin {
    std::uint32_t tolerated_percent = 5;
    std::uint32_t harm_percent = 20;  ///< 0 = the time is not watched
    bool operator==(const TimeMargin&) const = default;
};

/// A canary whose share grows by steps and who is taken back when it proves worse (decision 0008).
struct Rollout {
    std::string canary;                                   ///< a variant; the other one is stable
    std::vector<std::uint32_t> steps{1, 5, 20, 50, 100};  ///< percent, growing, the last is 100
    std::uint32_t min_requests = 100;                     ///< of the canary, per step
    Duration min_step_time = 5min;
    Duration max_step_time = 24h;              ///< a step without verdict for this long is reported
    std::uint32_t wrong_rollback_percent = 5;  ///< probability, over the whole rollout
    std::uint32_t missed_harm_percent = 5;     ///< probability, per step
    ErrorMargin errors;
    TimeMargin first_token;
    TimeMargin token_gap;
    bool operator==(const Rollout&) const = default;
};

/// What is common to the rollouts of all models.
struct Rollouts {
    std::string state_directory;  ///< one file per model; empty = in memory only
    bool operator==(const Rollouts&) const = default;
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
    Duration ejection = 10s;             ///< times the number of ejections in a row
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

struct Routes {
    std::vector<std::string>
        manifests;  ///< files or globs of HTTPRoute documents, relative to the document
    ModelConflict on_model_conflict = ModelConflict::refuse;
    bool operator==(const Routes&) const = default;
};

/// API keys: a file of lines `id tenant hmac-sha256-hex` and the pepper that the digests were made
/// with.
struct Keys {
    std::string file;
    Secret pepper;
    bool operator==(const Keys&) const = default;
};

struct Authentication {
    std::optional<Keys>
        keys;  ///< absent = everybody is let in, as tenant `anonymous`, and the start says so
    std::map<std::string, std::string> certificates;  ///< SAN of a client certificate → tenant
    std::string tenant_header;  ///< believed from trusted proxies only; empty = none
    bool operator==(const Authentication&) const = default;
};

/// What a tenant gets. Tenants that are not listed get the defaults.
struct Tenant {
    std::uint32_t priority = 0;  ///< instead of the model's; 0 = the model's
    std::uint32_t weight = 1;    ///< share of tokens among those who wait in one band
    std::string tier;            ///< for the rules of models; empty = none
    bool operator==(const Tenant&) const = default;
};

/// Addresses (CIDR) whose forwarding headers are believed and kept.
struct Trust {
    std::vector<std::string> proxies;
    bool operator==(const Trust&) const = default;
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct Logging {
    LogLevel level = LogLevel::info;
    std::string access_log;  ///< `stdout`, `stderr` or a file; empty = off
    bool operator==(const Logging&) const = default;
};

struct Drain {
    Duration pre_stop = 0s;    ///< keep accepting after SIGTERM while load balancers notice
    Duration deadline = 600s;  ///< then running requests are ended with an error
    bool operator==(const Drain&) const = default;
};

struct Process {
    std::uint32_t workers = 0;  ///< 0 = one per core
    bool operator==(const Process&) const = default;
};

/// The whole document, plus the HTTPRoute manifests it names (config/manifest.hpp) kept in
/// `Loaded`.
struct Config {
    Listeners listeners;
    Process process;
    Limits limits;
    Overload overload;
    HttpOptions http;
    ClientTimeouts client_timeouts;
    Authentication authentication;
    Trust trust;
    std::map<std::string, Tenant> tenants;
    std::vector<Model> models;
    Rollouts rollouts;
    std::map<std::string, Backend> backends;
    Routes routes;
    Logging logging;
    Drain drain;
    bool operator==(const Config&) const = default;
};

}  // namespace millrace::config

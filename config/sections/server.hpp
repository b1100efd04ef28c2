// Keys about the process, its listeners and who may call: what is not about models.
// Part of config/model.hpp, which says how values are written. Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/secret.hpp"
#include "config/sections/sizes.hpp"

namespace millrace::config {

using namespace std::chrono_literals;

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

struct HttpOptions {
    Underscores header_underscores = Underscores::reject;
    bool debug_header = false;  ///< answers say in `x-millrace-endpoint` who gave them, and why
    bool operator==(const HttpOptions&) const = default;
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

}  // namespace millrace::config

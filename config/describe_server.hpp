// Keys of the sections about the process itself: listeners, limits, timeouts, identity, logs,
// drain. See config/describe.hpp. Thread-safety: pure functions.
#pragma once

#include "config/field.hpp"

namespace millrace::config {

template <class Visitor>
void describe(Visitor& visitor, ListenerTls& x) {
    visitor.field({.key = "certificate",
                   .doc = "PEM file with the certificate chain.",
                   .kind = Kind::file,
                   .required = true},
                  x.certificate);
    visitor.field({.key = "key",
                   .doc = "PEM file with the private key.",
                   .kind = Kind::file,
                   .required = true},
                  x.key);
    visitor.field({.key = "client_certificates",
                   .doc = "Whether clients are asked for a certificate, and must have one."},
                  x.client_certificates);
    visitor.field({.key = "client_ca",
                   .doc = "PEM bundle that client certificates are checked against; goes with "
                          "`client_certificates`.",
                   .kind = Kind::file},
                  x.client_ca);
}

template <class Visitor>
void describe(Visitor& visitor, DataListener& x) {
    visitor.field({.key = "address", .doc = "Where clients connect; port 0 takes any free port."},
                  x.address);
    visitor.field({.key = "tls", .doc = "TLS 1.2 and 1.3 with these files; absent = plain text."},
                  x.tls);
    visitor.field(
        {.key = "max_connections", .doc = "Connections at one time.", .min = 1, .max = 10'000'000},
        x.max_connections);
    visitor.field({.key = "max_connections_per_source",
                   .doc = "Connections from one IPv4 address or IPv6 /64 at one time; 0 = no "
                          "limit. Trusted proxies are never limited.",
                   .max = 10'000'000},
                  x.max_connections_per_source);
}

template <class Visitor>
void describe(Visitor& visitor, PlainListener& x) {
    visitor.field({.key = "address", .doc = "Where to listen; port 0 takes any free port."},
                  x.address);
}

template <class Visitor>
void describe(Visitor& visitor, AdminListener& x) {
    visitor.field({.key = "address", .doc = "Where to listen; port 0 takes any free port."},
                  x.address);
    visitor.field({.key = "token",
                   .doc = "Bearer token that callers must present; required unless the address is "
                          "a loopback address."},
                  x.token);
}

template <class Visitor>
void describe(Visitor& visitor, Listeners& x) {
    visitor.field({.key = "data", .doc = "The OpenAI-style API for clients."}, x.data);
    visitor.field({.key = "metrics",
                   .doc = "Prometheus metrics, health probes and the metrics-api for KEDA."},
                  x.metrics);
    visitor.field({.key = "admin", .doc = "Drain, undrain, explain and rollouts."}, x.admin);
}

template <class Visitor>
void describe(Visitor& visitor, Limits& x) {
    visitor.field({.key = "start_line",
                   .doc = "The request line.",
                   .kind = Kind::size,
                   .min = 64,
                   .max = 60 * kKiB},
                  x.start_line);
    visitor.field({.key = "header_block",
                   .doc = "All header fields together; at most 60KiB.",
                   .kind = Kind::size,
                   .min = 256,
                   .max = 60 * kKiB},
                  x.header_block);
    visitor.field(
        {.key = "header_fields", .doc = "Number of header fields.", .min = 1, .max = 1'000},
        x.header_fields);
    visitor.field(
        {.key = "body", .doc = "A request body.", .kind = Kind::size, .min = 1, .max = 1024 * kMiB},
        x.body);
    visitor.field({.key = "buffered_bytes",
                   .doc = "All bodies and relay buffers together; 0 = a quarter of the memory that "
                          "the process may use.",
                   .kind = Kind::size},
                  x.buffered_bytes);
    visitor.field({.key = "json_depth", .doc = "Nesting of a JSON body.", .min = 1, .max = 64},
                  x.json_depth);
    visitor.field({.key = "requests_per_connection",
                   .doc = "Requests after which a connection is closed, so that clients spread "
                          "again over several gateways.",
                   .min = 1},
                  x.requests_per_connection);
}

template <class Visitor>
void describe(Visitor& visitor, Overload& x) {
    visitor.field({.key = "loop_lag",
                   .doc = "Requests are refused while a worker's event loop is this late for a "
                          "fifth of a second; at twice this nothing is accepted. 0 = lag does not "
                          "count.",
                   .max = kOneDay},
                  x.loop_lag);
}

template <class Visitor>
void describe(Visitor& visitor, HttpOptions& x) {
    visitor.field({.key = "header_underscores",
                   .doc = "What happens to header names with an underscore, which some servers "
                          "read as a hyphen: the request is refused, or the field dropped."},
                  x.header_underscores);
    visitor.field({.key = "debug_header",
                   .doc = "Answers carry `x-millrace-endpoint`: the endpoint, the variant, and why "
                          "it was chosen. It tells clients internal addresses."},
                  x.debug_header);
}

template <class Visitor>
void describe(Visitor& visitor, ClientTimeouts& x) {
    visitor.field({.key = "handshake", .doc = "For the TLS handshake.", .min = 1, .max = kOneDay},
                  x.handshake);
    visitor.field({.key = "header",
                   .doc = "From the first byte of a request to the end of its header block.",
                   .min = 1,
                   .max = kOneDay},
                  x.header);
    visitor.field({.key = "body_grace",
                   .doc = "Time before a body must keep up with `body_rate`, and the longest "
                          "silence in it.",
                   .min = 1,
                   .max = kOneDay},
                  x.body_grace);
    visitor.field({.key = "body_rate",
                   .doc = "Bytes per second that a body must reach after the grace.",
                   .kind = Kind::size,
                   .min = 1},
                  x.body_rate);
    visitor.field({.key = "keep_alive",
                   .doc = "An idle connection is closed after this time.",
                   .min = 1,
                   .max = kOneDay},
                  x.keep_alive);
    visitor.field({.key = "write_stall",
                   .doc = "A client that reads nothing for this time is cut off.",
                   .min = 1,
                   .max = kOneDay},
                  x.write_stall);
}

template <class Visitor>
void describe(Visitor& visitor, Keys& x) {
    visitor.field({.key = "file",
                   .doc = "Lines of `id tenant hmac-sha256-hex`, one key each.",
                   .kind = Kind::file,
                   .required = true},
                  x.file);
    visitor.field({.key = "pepper",
                   .doc = "The secret that the digests in the file were made with.",
                   .required = true},
                  x.pepper);
}

template <class Visitor>
void describe(Visitor& visitor, Authentication& x) {
    visitor.field(
        {.key = "keys", .doc = "API keys; absent = everybody is let in, as tenant `anonymous`."},
        x.keys);
    visitor.field({.key = "certificates",
                   .doc = "Tenants of client certificates by their first URI name, else their "
                          "first DNS name; such a caller needs no API key. Goes with "
                          "`listeners.data.tls.client_certificates`."},
                  x.certificates);
    visitor.field({.key = "tenant_header",
                   .doc = "The header in which a trusted proxy names the tenant, whatever key or "
                          "certificate the proxy has; the proxy must set or remove it. Values that "
                          "are no key of `tenants` are tenant `anonymous`; from others than "
                          "`trust.proxies` the header counts for nothing."},
                  x.tenant_header);
}

template <class Visitor>
void describe(Visitor& visitor, Tenant& x) {
    visitor.field({.key = "priority",
                   .doc = "Band of its requests in every queue, instead of the model's; 0 = the "
                          "model's.",
                   .max = 1'000},
                  x.priority);
    visitor.field({.key = "weight",
                   .doc = "Its share of tokens, relative to other tenants that wait in the same "
                          "band.",
                   .min = 1,
                   .max = 1'000},
                  x.weight);
    visitor.field({.key = "tier", .doc = "A word that the rules of models may ask for."}, x.tier);
}

template <class Visitor>
void describe(Visitor& visitor, Trust& x) {
    visitor.field(
        {.key = "proxies",
         .doc = "Networks (`10.0.0.0/8`) or addresses of proxies whose forwarding headers "
                "are believed and kept; from everybody else they are removed."},
        x.proxies);
}

template <class Visitor>
void describe(Visitor& visitor, Logging& x) {
    visitor.field({.key = "level", .doc = "The least severe line that is written."}, x.level);
    visitor.field({.key = "access_log",
                   .doc = "One JSON line per request to `stdout`, `stderr` or this file; absent = "
                          "none.",
                   .kind = Kind::output},
                  x.access_log);
}

template <class Visitor>
void describe(Visitor& visitor, Drain& x) {
    visitor.field({.key = "pre_stop",
                   .doc = "After SIGTERM, keep accepting for this time while load balancers take "
                          "notice.",
                   .max = kOneDay},
                  x.pre_stop);
    visitor.field({.key = "deadline",
                   .doc = "Requests that still run after this time are ended with an error.",
                   .max = kOneDay},
                  x.deadline);
}

template <class Visitor>
void describe(Visitor& visitor, Process& x) {
    visitor.field({.key = "workers", .doc = "Worker threads; 0 = one per core.", .max = 1'024},
                  x.workers);
}

}  // namespace millrace::config

// Keys of the section about backends. See config/describe.hpp.
// Thread-safety: pure functions.
#pragma once

#include "config/describe_choice.hpp"
#include "config/field.hpp"

namespace millrace::config {

template <class Visitor>
void describe(Visitor& visitor, UpstreamTimeouts& x) {
    visitor.field(
        {.key = "connect", .doc = "For TCP and TLS to one endpoint.", .min = 1, .max = kOneDay},
        x.connect);
    visitor.field({.key = "first_byte",
                   .doc = "From the request sent to the response head.",
                   .min = 1,
                   .max = kOneDay},
                  x.first_byte);
    visitor.field({.key = "first_token",
                   .doc = "From the request sent to the first content token of a stream.",
                   .min = 1,
                   .max = kOneDay},
                  x.first_token);
    visitor.field({.key = "idle",
                   .doc = "Silence in a stream or body after its first byte.",
                   .min = 1,
                   .max = kOneDay},
                  x.idle);
    visitor.field({.key = "total",
                   .doc = "The whole exchange; 0 = no limit, because a long generation is not a "
                          "fault.",
                   .max = kOneDay},
                  x.total);
}

template <class Visitor>
void describe(Visitor& visitor, UsageOptions& x) {
    visitor.field(
        {.key = "final",
         .doc = "Ask for the token counts at the end of each stream; they are hidden from "
                "clients that did not ask."},
        x.final);
    visitor.field({.key = "continuous",
                   .doc = "Ask for running counts, so that a cut stream is counted too; `auto` = "
                          "until the backend refuses the field."},
                  x.continuous);
}

template <class Visitor>
void describe(Visitor& visitor, DnsEndpoints& x) {
    visitor.field({.key = "name",
                   .doc = "A name whose every address becomes an endpoint, such as a headless "
                          "Service.",
                   .required = true},
                  x.name);
    visitor.field({.key = "port", .doc = "Port of every endpoint.", .min = 1}, x.port);
    visitor.field({.key = "https", .doc = "Speak TLS to the endpoints."}, x.https);
    visitor.field({.key = "refresh",
                   .doc = "How often the name is resolved; a failure keeps the last answer.",
                   .min = 100,
                   .max = kOneDay},
                  x.refresh);
}

template <class Visitor>
void describe(Visitor& visitor, Endpoints& x) {
    visitor.field(
        {.key = "static",
         .doc = "Addresses as `http://host:port` or `https://host:port`, without a path."},
        x.static_urls);
    visitor.field({.key = "dns", .doc = "Endpoints found by resolving a name."}, x.dns);
}

template <class Visitor>
void describe(Visitor& visitor, UpstreamTls& x) {
    visitor.field({.key = "ca",
                   .doc = "PEM bundle that the backend's certificate is checked against; absent = "
                          "the system's.",
                   .kind = Kind::file},
                  x.ca);
    visitor.field(
        {.key = "server_name",
         .doc = "The name that is sent as SNI and verified; absent = the endpoint's host."},
        x.server_name);
    visitor.field({.key = "certificate",
                   .doc = "PEM file with our client certificate; goes with `key`.",
                   .kind = Kind::file},
                  x.certificate);
    visitor.field({.key = "key",
                   .doc = "PEM file with the private key; goes with `certificate`.",
                   .kind = Kind::file},
                  x.key);
    visitor.field(
        {.key = "verify", .doc = "Refuse a backend whose certificate does not check out."},
        x.verify);
}

template <class Visitor>
void describe(Visitor& visitor, Queue& x) {
    visitor.field({.key = "requests", .doc = "Requests that may wait.", .max = 1'000'000},
                  x.requests);
    visitor.field({.key = "bytes",
                   .doc = "Bytes of their bodies, which also count against "
                          "`limits.buffered_bytes`.",
                   .kind = Kind::size},
                  x.bytes);
    visitor.field({.key = "tenant_requests",
                   .doc = "Requests of one tenant that may wait; 0 = as many as there is room for.",
                   .max = 1'000'000},
                  x.tenant_requests);
    visitor.field({.key = "timeout",
                   .doc = "The longest wait while endpoints are ready and busy; then 503.",
                   .max = kOneDay},
                  x.timeout);
    visitor.field({.key = "hold",
                   .doc = "The longest wait while no endpoint is ready; then 503.",
                   .max = kOneDay},
                  x.hold);
}

template <class Visitor>
void describe(Visitor& visitor, HealthCheck& x) {
    visitor.field({.key = "path", .doc = "What is asked for, with GET; a 2xx is well."}, x.path);
    visitor.field({.key = "interval",
                   .doc = "Between two checks of one endpoint.",
                   .min = 1'000,
                   .max = kOneDay},
                  x.interval);
    visitor.field({.key = "timeout", .doc = "For one check.", .min = 1, .max = kOneDay}, x.timeout);
    visitor.field({.key = "unhealthy_after",
                   .doc = "Failed checks in a row that take an endpoint out of rotation.",
                   .min = 1,
                   .max = 1'000},
                  x.unhealthy_after);
    visitor.field({.key = "healthy_after",
                   .doc = "Successful checks in a row that bring it back.",
                   .min = 1,
                   .max = 1'000},
                  x.healthy_after);
}

template <class Visitor>
void describe(Visitor& visitor, EngineMetrics& x) {
    visitor.field({.key = "path", .doc = "What is asked for, with GET: Prometheus' text format."},
                  x.path);
    visitor.field({.key = "interval",
                   .doc = "Between two questions to one endpoint.",
                   .min = 1'000,
                   .max = kOneDay},
                  x.interval);
    visitor.field({.key = "max_age",
                   .doc = "Figures older than this are not used; the gateway's own counts are.",
                   .min = 1'000,
                   .max = kOneDay},
                  x.max_age);
}

template <class Visitor>
void describe(Visitor& visitor, Outliers& x) {
    visitor.field({.key = "failures",
                   .doc = "Failures in a row (refused, reset, silent, broken, 502, 503, 504; never "
                          "what a client did) that eject an endpoint; 0 = never.",
                   .max = 1'000},
                  x.failures);
    visitor.field({.key = "failure_percent",
                   .doc = "The part of at least 20 attempts within 10 s whose failure ejects an "
                          "endpoint; 0 = never.",
                   .max = 100},
                  x.failure_percent);
    visitor.field(
        {.key = "first_token_percent",
         .doc = "The mean time to first token of an endpoint's streams, in percent of the "
                "median of the other endpoints', above which it is ejected: of 10 s, "
                "scaled to the length of the prompts, with at least 10 streams at each "
                "of four endpoints or more. 300 = three times as long, 0 = never.",
         .max = 100'000},
        x.first_token_percent);
    visitor.field({.key = "ejection",
                   .doc = "How long the first ejection lasts; the n-th in a row lasts n times as "
                          "long. Then slots come back one by one.",
                   .min = 1,
                   .max = kOneDay},
                  x.ejection);
    visitor.field({.key = "max_ejection", .doc = "The longest ejection.", .min = 1, .max = kOneDay},
                  x.max_ejection);
    visitor.field({.key = "max_ejected_percent",
                   .doc = "The part of the endpoints that may be ejected at a time; never the only "
                          "one.",
                   .max = 100},
                  x.max_ejected_percent);
}

template <class Visitor>
void describe(Visitor& visitor, Backend& x) {
    visitor.field({.key = "endpoints", .doc = "Where the servers are.", .required = true},
                  x.endpoints);
    visitor.field(
        {.key = "api_key",
         .doc = "Sent to the backend as `Authorization: Bearer …`; a client's own key never "
                "is."},
        x.api_key);
    visitor.field(
        {.key = "usage", .doc = "How token counts are asked for in streamed chat and completions."},
        x.usage);
    visitor.field({.key = "timeouts",
                   .doc = "Timeouts towards this backend; an HTTPRoute rule may override two of "
                          "them."},
                  x.timeouts);
    visitor.field({.key = "tls", .doc = "TLS towards https endpoints."}, x.tls);
    visitor.field({.key = "slots_per_endpoint",
                   .doc = "Requests in flight that one endpoint takes at once; more wait in the "
                          "queue. 0 = learned from its first tokens and its queue, between 4 and "
                          "1024.",
                   .max = 1'000'000},
                  x.slots_per_endpoint);
    visitor.field({.key = "prefix_cache_tokens",
                   .doc = "Tokens that the prefix cache of one endpoint holds; as much is "
                          "remembered where `picker.by` has `prefix`.",
                   .max = 1'000'000'000},
                  x.prefix_cache_tokens);
    visitor.field({.key = "cost_per_hour",
                   .doc = "What one endpoint costs per hour, in dollars; 0 = not known. For "
                          "`models[].rollout.cost`."},
                  x.cost_per_hour);
    visitor.field({.key = "queue", .doc = "Requests that wait for an endpoint."}, x.queue);
    visitor.field({.key = "health",
                   .doc = "Health checks of every endpoint; absent = none. A pool whose endpoints "
                          "all fail holds its requests."},
                  x.health);
    visitor.field(
        {.key = "outliers", .doc = "When a failing or slow endpoint gets no new requests."},
        x.outliers);
    visitor.field({.key = "metrics",
                   .doc = "The endpoints' own metrics (vLLM, SGLang, TensorRT-LLM), as advice for "
                          "the choice and for learned slots; absent = they are not asked."},
                  x.metrics);
    visitor.field({.key = "max_idle_connections",
                   .doc = "Idle connections kept per worker and endpoint.",
                   .max = 100'000},
                  x.max_idle_connections);
    visitor.field({.key = "idle_timeout",
                   .doc = "An idle connection is closed after this time; keep it below the "
                          "backend's own (uvicorn: 5 s).",
                   .min = 1,
                   .max = kOneDay},
                  x.idle_timeout);
    visitor.field({.key = "namespace",
                   .doc = "The label `namespace` of `vllm_pending_requests`; absent = our own "
                          "namespace."},
                  x.kubernetes_namespace);
}

}  // namespace millrace::config

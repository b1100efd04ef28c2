#include "gateway/pipeline/upstream_request.hpp"

#include <string>

#include "gateway/http1/hop_by_hop.hpp"
#include "gateway/http1/serializer.hpp"
#include "gateway/pipeline/request_id.hpp"
#include "routing/rewrite.hpp"

namespace millrace::gateway {
namespace {

using http1::KnownField;

/// What the codec cannot decide: identity never passes, forwarding fields only from proxies we
/// trust.
bool passes(const HeaderField& field, bool trusted_peer) {
    switch (http1::known(field)) {
        case KnownField::host:
        case KnownField::authorization:
        case KnownField::x_api_key:
        case KnownField::x_request_id:
        case KnownField::accept_encoding:
        case KnownField::x_forwarded_client_cert: return false;
        case KnownField::forwarded:
        case KnownField::via:
        case KnownField::x_forwarded_for:
        case KnownField::x_forwarded_host:
        case KnownField::x_forwarded_port:
        case KnownField::x_forwarded_prefix:
        case KnownField::x_forwarded_proto:
        case KnownField::x_real_ip: return trusted_peer;
        case KnownField::traceparent: return is_valid_traceparent(field.value);
        case KnownField::none: return !equals_ignoring_case(field.name, "api-key");
        default: return true;
    }
}

void collect_fields(const RequestScope& scope, const routing::Rule& rule, Scratch& scratch) {
    const auto& head = scope.exchange.head;
    auto& fields = scratch.fields;
    fields.clear();
    for (const auto& field : head.fields.all()) {
        if (http1::forwards_to_upstream(head, field) &&
            passes(field, scope.exchange.peer.is_trusted)) {
            fields.push_back(field);
        }
    }
    if (const auto& tenant = scope.config().authentication.tenant_header; !tenant.empty()) {
        std::erase_if(fields,
                      [&](const auto& field) { return equals_ignoring_case(field.name, tenant); });
    }
    if (rule.manifest != nullptr) {
        routing::apply_request_headers(rule, fields);
    }
}

}  // namespace

openai::UsageInjection usage_for(const Request& request, const BackendRuntime& backend) {
    const auto& wish = backend.settings->usage;
    if (!request.is_stream() || !request.surface->injects_usage || !wish.final) {
        return {};
    }
    using config::ContinuousUsage;
    const bool continuous =
        wish.continuous == ContinuousUsage::on ||
        (wish.continuous == ContinuousUsage::automatic &&
         !backend.learned->refuses_continuous_usage.load(std::memory_order_relaxed));
    return {true, continuous};
}

openai::BodyEdit edit_for(const Request& request, const routing::Decision& decision,
                          openai::UsageInjection usage) {
    if (request.fields) {
        return openai::edits_for(*request.fields, request.body, decision.served_name, usage);
    }
    if (request.multipart) {
        return openai::edits_for(*request.multipart, decision.served_name);
    }
    return {};
}

void write_upstream_request(const RequestScope& scope, const Request& request,
                            const routing::Decision& decision,
                            const routing::EndpointState& endpoint, const BackendRuntime& backend,
                            const openai::BodyEdit& edit, Scratch& scratch) {
    const auto& head = scope.exchange.head;
    const auto& rule = *decision.rule;
    collect_fields(scope, rule, scratch);
    scratch.head.clear();
    http1::HeadWriter writer(scratch.head);
    std::string rewritten;
    std::string_view target = head.target;
    if (rule.manifest != nullptr) {
        if (auto path = routing::rewritten_path(rule, decision.match, head.path)) {
            rewritten = std::move(*path);
            if (!head.query.empty()) {
                rewritten.append("?").append(head.query);
            }
            target = rewritten;
        }
    }
    writer.request_line(head.method_text, target);
    const auto host = rule.manifest != nullptr ? routing::rewritten_host(rule) : std::string_view{};
    writer.field("host", host.empty() ? std::string_view(endpoint.authority) : host);
    for (const auto& field : scratch.fields) {
        writer.field(field.name, field.value);
    }
    writer.field("accept-encoding", "identity");
    writer.field("x-request-id", scope.request_id());
    if (const auto given = head.value(KnownField::x_request_id);
        !given.empty() && given != scope.request_id() &&
        !head.fields.has(KnownField::x_client_request_id)) {
        writer.field("x-client-request-id", given);
    }
    if (!backend.authorization.empty() && find_field(scratch.fields, "authorization") == nullptr) {
        writer.field("authorization", backend.authorization);
    }
    const std::size_t length = edit.length(request.body.size());
    if (head.framing.kind != http1::BodyKind::none || length > 0) {
        writer.content_length(length);
    }
    writer.end();
    scratch.request.clear();
    scratch.request.push_back(scratch.head);
    if (length > 0) {
        edit.gather(request.body, scratch.request);
    }
}

}  // namespace millrace::gateway

#include "gateway/pipeline/read_request.hpp"

#include <utility>

#include "gateway/openai/error_table.hpp"

namespace millrace::gateway {
namespace {

using http1::KnownField;

/// Feeds the peek while the body arrives, so that a refusal does not wait for the last byte.
class PeekObserver final : public BodyObserver {
public:
    explicit PeekObserver(unsigned depth) : peek(depth) {}
    Result<void> on_body(std::string_view body_so_far) override { return peek.feed(body_so_far); }

    openai::Peek peek;
};

Result<void> refuse_if_overloaded(const routing::OverloadLadder& ladder) {
    const auto actions = ladder.actions();
    if (!actions.at_least(routing::OverloadStep::refuse)) {
        return {};
    }
    using routing::OverloadSignal;
    std::string_view what = "memory for request bodies (limits.buffered_bytes)";
    switch (actions.signal) {
        case OverloadSignal::bytes: break;
        case OverloadSignal::connections: what = "connections"; break;
        case OverloadSignal::descriptors: what = "file descriptors"; break;
        case OverloadSignal::loop_lag: what = "time (overload.loop_lag)"; break;
    }
    return failure(Errc::server_overloaded, Origin::policy,
                   "The gateway is running out of " + std::string(what) + "; try again shortly.");
}

bool is_identity(std::string_view coding) {
    return coding.empty() || equals_ignoring_case(coding, "identity");
}

}  // namespace

Result<void> authenticate(RequestScope& scope) {
    const auto& peer = scope.exchange.peer;
    auto principal = scope.snapshot().authenticator.authenticate(scope.exchange.head.fields.all(),
                                                                 {peer.identity, peer.is_trusted});
    if (!principal) {
        return std::unexpected(std::move(principal.error()));
    }
    scope.identify(*principal);
    return {};
}

Result<void> admit_head(RequestScope& scope, Request& request) {
    const auto& head = scope.exchange.head;
    if (head.target == "*") {
        return failure(Errc::method_not_allowed, Origin::downstream,
                       "OPTIONS for the whole server is not served here.");
    }
    auto match = openai::find_surface(head.method_text, head.path);
    if (match) {
        request.surface = match->surface;
        request.id = std::move(match->id);
        scope.record.api = request.surface->name;
    } else if (match.error().code != Errc::path_not_found) {
        return std::unexpected(std::move(match.error()));
    } else {
        scope.record.api = "other";
    }
    if (auto able = refuse_if_overloaded(scope.services.overload); !able) {
        return able;
    }
    const auto coding = head.value(KnownField::content_encoding);
    if (!is_identity(coding)) {
        return failure(Errc::unsupported_content_encoding, Origin::downstream,
                       "Content-Encoding `" + std::string(coding) +
                           "` is not accepted: send the body without a content coding.");
    }
    const auto limit = scope.config().limits.body;
    if (head.framing.kind == http1::BodyKind::length && head.framing.content_length > limit) {
        return failure(Errc::body_too_large, Origin::downstream,
                       "The body of " + std::to_string(head.framing.content_length) +
                           " bytes is over the limit of " + std::to_string(limit) +
                           " bytes (limits.body).");
    }
    return {};
}

Task<Result<void>> read_body(RequestScope& scope, Request& request) {
    auto& exchange = scope.exchange;
    const auto& limits = scope.config().limits;
    const bool is_json =
        request.surface != nullptr && request.surface->body == openai::BodyKind::json;
    if (!is_json) {
        auto body = co_await exchange.body.read_all(limits.body, scope.budget, nullptr);
        if (!body) {
            co_return std::unexpected(std::move(body.error()));
        }
        request.body = *body;
    } else {
        PeekObserver observer(limits.json_depth);
        auto body = co_await exchange.body.read_all(limits.body, scope.budget, &observer);
        if (!body) {
            co_return std::unexpected(std::move(body.error()));
        }
        request.body = *body;
        auto fields = observer.peek.finish(*body);
        if (!fields) {
            co_return std::unexpected(std::move(fields.error()));
        }
        request.fields = std::move(*fields);
    }
    scope.record.bytes_in = request.body.size();
    if (request.surface != nullptr && request.surface->body == openai::BodyKind::multipart) {
        auto fields =
            openai::read_multipart(exchange.head.value(KnownField::content_type), request.body);
        if (!fields) {
            co_return std::unexpected(std::move(fields.error()));
        }
        request.multipart = std::make_unique<openai::MultipartFields>(std::move(*fields));
    }
    scope.record.stream = request.is_stream();
    co_return Result<void>{};
}

routing::RequestFacts facts_of(const RequestScope& scope, const Request& request) {
    const auto& head = scope.exchange.head;
    routing::RequestFacts facts;
    facts.method = head.method_text;
    facts.path = head.path;
    facts.query = head.query;
    facts.host = head.value(KnownField::host);
    facts.headers = head.fields.all();
    facts.header_model = head.value(KnownField::x_model_id);
    facts.key_id = scope.principal.key_id;
    facts.api_path = request.surface != nullptr;
    if (request.fields) {
        facts.json_body = true;
        if (request.fields->model) {
            facts.body_model = *request.fields->model;
        }
    } else if (request.multipart && request.multipart->model) {
        facts.body_model = *request.multipart->model;
    }
    return facts;
}

}  // namespace millrace::gateway

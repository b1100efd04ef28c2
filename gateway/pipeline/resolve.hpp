// resolve: which pool a request goes to, and whether a stored response ties it to one endpoint.
// Thread-safety: none; one worker.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/scope.hpp"
#include "routing/decision.hpp"
#include "routing/fallback.hpp"

namespace millrace::gateway {

struct Resolved {
    routing::Decision decision;
    std::shared_ptr<routing::EndpointState>
        pinned;                              ///< holds the stored response; null = any endpoint
    const routing::Rule* matched = nullptr;  ///< never null; a fallback decides by another rule
    routing::FallbackPlan fallbacks;
};

/// Where the request goes, which is a fallback of its model when that does not wait for an endpoint
/// and has none. The request is admitted there. Errors: those of routing::decide, and
/// response_not_found.
Result<Resolved> resolve(RequestScope& scope, const Request& request);

/// The gateway's own answer (the model lists), or nullopt when the request must be forwarded;
/// model_not_found for an unknown id. The view lives as long as the snapshot.
Result<std::optional<std::string_view>> local_answer(const RequestScope& scope,
                                                     const Request& request);

/// Remembers who stored which response, for the calls that name it later.
void remember_response(RequestScope& scope, std::string_view response_id, std::string_view model,
                       std::string_view endpoint_url);

}  // namespace millrace::gateway

// What is written to a backend: the head, re-serialised from the parsed one, and the body as a
// gather list with the edits applied. Thread-safety: none; one worker.
#pragma once

#include "gateway/openai/body_edit.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/upstream/backend.hpp"
#include "routing/decision.hpp"
#include "routing/endpoints.hpp"

namespace millrace::gateway {

/// How this attempt's body differs from the client's.
openai::BodyEdit edit_for(const Request& request, const routing::Decision& decision,
                          openai::UsageInjection usage);

/// What to ask of the backend beyond the client's wish.
openai::UsageInjection usage_for(const Request& request, const BackendRuntime& backend);

/// Fills `scratch.head` and `scratch.request` (head, then body). The views live as long as the
/// scratch, `edit`, the body and the exchange's head.
void write_upstream_request(const RequestScope& scope, const Request& request,
                            const routing::Decision& decision,
                            const routing::EndpointState& endpoint, const BackendRuntime& backend,
                            const openai::BodyEdit& edit, Scratch& scratch);

}  // namespace millrace::gateway

// What a request prefers among the endpoints of its pool, by the model's `picker`, and what its
// first token says about the one that was chosen. Thread-safety: none; one worker.
#pragma once

#include <cstdint>

#include "gateway/pipeline/forward.hpp"
#include "gateway/pipeline/read_request.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/upstream/backend.hpp"
#include "routing/prompt_blocks.hpp"
#include "routing/selection.hpp"

namespace millrace::gateway {

/// Prompt tokens from sizes, by what this backend's exact counts have taught.
std::uint64_t estimated_prompt_tokens(const Request& request, const BackendRuntime& backend);

/// What a selection is made from; views live until it is made.
struct Preferring {
    const routing::Decision& decision;
    const openai::RequestFields* fields = nullptr;  ///< null = no JSON body
    std::string_view body;
    HeaderFields headers;
    std::string_view key_id;
    double tokens_per_byte = 0.25;
};

/// Without a `picker`, one that has no wish. `blocks` is scratch.
routing::Selection selection_for(const Preferring& request, routing::PromptBlocks& blocks);
routing::Selection selection_for(RequestScope& scope, const Request& request,
                                 const Resolved& resolved);

/// The first content of a stream is here: what it says about its endpoint's speed. Of two attempts
/// of a request only the one that won: how long the other would have taken is not known.
void note_first_token(RequestScope& scope, Answer& answer);

}  // namespace millrace::gateway

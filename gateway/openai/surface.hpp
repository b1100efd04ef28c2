// The API surface: which (method, path) pairs exist, what they carry and how they answer. A path
// that is not here is forwarded only by an explicit route; vLLM's control endpoints only by an
// exact one (is_control_path). Thread-safety: immutable table and pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/base/error.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::openai {

enum class Api : std::uint8_t {
    chat_completions,
    completions,
    embeddings,
    responses,
    response_get,
    response_delete,
    response_cancel,
    response_input_items,
    messages,
    messages_count_tokens,
    rerank,
    score,
    classify,
    pooling,
    tokenize,
    detokenize,
    audio_transcriptions,
    audio_translations,
    audio_speech,
    images_generations,
    images_edits,
    images_variations,
    models_list,
    model_get,
    kApiCount
};

enum class BodyKind : std::uint8_t { none, json, multipart };

struct Surface {
    Api api = Api::chat_completions;
    metrics::Dialect dialect =
        metrics::Dialect::chat;  ///< messages: errors are Anthropic's; all others OpenAI's
    BodyKind body = BodyKind::json;
    bool is_generation = false;   ///< produces completion tokens
    bool can_stream = false;      ///< honours `stream: true` with SSE
    bool injects_usage = false;   ///< stream_options may be added (chat and completions only)
    bool is_local = false;        ///< answered by the gateway itself (the model lists)
    bool by_response_id = false;  ///< routed by the id in the path, not by model
    std::string_view name;        ///< stable label for metrics and logs
};

struct SurfaceMatch {
    const Surface* surface = nullptr;  ///< static storage
    std::string id;  ///< the `{id}` segment, percent-decoded once; empty if the path has none
};

/// `path` without the query. Fails with path_not_found, method_not_allowed (the detail names the
/// methods), or bad_target when the id's percent-encoding is broken.
Result<SurfaceMatch> find_surface(std::string_view method, std::string_view path);

/// Value for the `Allow` header of a 405; empty for unknown paths.
std::string_view allowed_methods(std::string_view path);

const Surface& surface_of(Api api);

/// The dialect of error answers for a path, known or not.
metrics::Dialect error_dialect(std::string_view path);

/// vLLM's operator endpoints (sleep, LoRA loading, metrics, …) under any spelling that a server
/// would accept: percent-encoded, doubled or trailing slashes, dot segments.
bool is_control_path(std::string_view path);

}  // namespace millrace::openai

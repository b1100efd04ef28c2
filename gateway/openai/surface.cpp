#include "gateway/openai/surface.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "config/base/percent.hpp"

namespace millrace::openai {
namespace {

using metrics::Dialect;

struct Endpoint {
    std::string_view method;
    std::string_view path;
    Surface surface;
};

constexpr Surface generation(Api api, Dialect dialect, bool injects, std::string_view name) {
    Surface surface{.api = api, .dialect = dialect, .name = name};
    surface.is_generation = true;
    surface.can_stream = true;
    surface.injects_usage = injects;
    return surface;
}
constexpr Surface json(Api api, std::string_view name, Dialect dialect = Dialect::chat) {
    return Surface{.api = api, .dialect = dialect, .name = name};
}
constexpr Surface upload(Api api, std::string_view name, bool can_stream) {
    Surface surface{.api = api, .body = BodyKind::multipart, .name = name};
    surface.can_stream = can_stream;
    return surface;
}
constexpr Surface stored(Api api, std::string_view name) {
    Surface surface{.api = api, .dialect = Dialect::responses, .name = name};
    surface.body = BodyKind::none;
    surface.by_response_id = true;
    surface.can_stream = api == Api::response_get;
    return surface;
}
constexpr Surface list(Api api, std::string_view name) {
    Surface surface{.api = api, .body = BodyKind::none, .name = name};
    surface.is_local = true;
    return surface;
}
constexpr Surface streaming(Surface surface) {
    surface.can_stream = true;
    return surface;
}

/// `{id}` stands for one segment, `{id*}` for the rest of the path. The first matching path wins.
constexpr std::array kEndpoints{
    Endpoint{"POST", "/v1/chat/completions",
             generation(Api::chat_completions, Dialect::chat, true, "chat_completions")},
    Endpoint{"POST", "/v1/completions",
             generation(Api::completions, Dialect::completions, true, "completions")},
    Endpoint{"POST", "/v1/embeddings", json(Api::embeddings, "embeddings")},
    Endpoint{"POST", "/v1/responses",
             generation(Api::responses, Dialect::responses, false, "responses")},
    Endpoint{"GET", "/v1/responses/{id}", stored(Api::response_get, "response_get")},
    Endpoint{"DELETE", "/v1/responses/{id}", stored(Api::response_delete, "response_delete")},
    Endpoint{"POST", "/v1/responses/{id}/cancel", stored(Api::response_cancel, "response_cancel")},
    Endpoint{"GET", "/v1/responses/{id}/input_items",
             stored(Api::response_input_items, "response_input_items")},
    Endpoint{"POST", "/v1/messages",
             generation(Api::messages, Dialect::messages, false, "messages")},
    Endpoint{"POST", "/v1/messages/count_tokens",
             json(Api::messages_count_tokens, "messages_count_tokens", Dialect::messages)},
    Endpoint{"POST", "/v1/rerank", json(Api::rerank, "rerank")},
    Endpoint{"POST", "/v2/rerank", json(Api::rerank, "rerank")},
    Endpoint{"POST", "/rerank", json(Api::rerank, "rerank")},
    Endpoint{"POST", "/v1/score", json(Api::score, "score")},
    Endpoint{"POST", "/score", json(Api::score, "score")},
    Endpoint{"POST", "/v1/classify", json(Api::classify, "classify")},
    Endpoint{"POST", "/classify", json(Api::classify, "classify")},
    Endpoint{"POST", "/v1/pooling", json(Api::pooling, "pooling")},
    Endpoint{"POST", "/pooling", json(Api::pooling, "pooling")},
    Endpoint{"POST", "/tokenize", json(Api::tokenize, "tokenize")},
    Endpoint{"POST", "/detokenize", json(Api::detokenize, "detokenize")},
    Endpoint{"POST", "/v1/audio/transcriptions",
             upload(Api::audio_transcriptions, "audio_transcriptions", true)},
    Endpoint{"POST", "/v1/audio/translations",
             upload(Api::audio_translations, "audio_translations", true)},
    Endpoint{"POST", "/v1/audio/speech", streaming(json(Api::audio_speech, "audio_speech"))},
    Endpoint{"POST", "/v1/images/generations",
             streaming(json(Api::images_generations, "images_generations"))},
    Endpoint{"POST", "/v1/images/edits", upload(Api::images_edits, "images_edits", true)},
    Endpoint{"POST", "/v1/images/variations",
             upload(Api::images_variations, "images_variations", false)},
    Endpoint{"GET", "/v1/models", list(Api::models_list, "models_list")},
    Endpoint{"GET", "/v1/models/{id*}", list(Api::model_get, "model_get")},
};

constexpr bool covers_every_api() {
    for (std::size_t api = 0; api < static_cast<std::size_t>(Api::kApiCount); ++api) {
        if (std::ranges::none_of(kEndpoints, [&](const Endpoint& endpoint) {
                return static_cast<std::size_t>(endpoint.surface.api) == api;
            })) {
            return false;
        }
    }
    return true;
}
static_assert(covers_every_api());

/// The raw `{id}` of `path` under `pattern`, empty for patterns without one; nullopt when they do
/// not match.
std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
    const std::size_t open = pattern.find('{');
    if (open == std::string_view::npos) {
        return pattern == path ? std::optional<std::string_view>{""} : std::nullopt;
    }
    const std::size_t close = pattern.find('}');
    const std::string_view suffix = pattern.substr(close + 1);
    if (!path.starts_with(pattern.substr(0, open)) || !path.ends_with(suffix) ||
        path.size() <= open + suffix.size()) {
        return std::nullopt;
    }
    const std::string_view id = path.substr(open, path.size() - open - suffix.size());
    const bool takes_rest = pattern[close - 1] == '*';
    return takes_rest || id.find('/') == std::string_view::npos ? std::optional{id} : std::nullopt;
}

/// What a server that decodes and tidies paths would see: decoded, single slashes, no dot segments.
std::string normalised(std::string_view path) {
    const std::string decoded = percent_decoded_strictly(path).value_or(std::string(path));
    std::vector<std::string_view> segments;
    std::string_view rest = decoded;
    while (!rest.empty()) {
        const std::size_t slash = rest.find('/');
        const std::string_view segment = rest.substr(0, slash);
        rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
        if (segment == "..") {
            if (!segments.empty()) {
                segments.pop_back();
            }
        } else if (!segment.empty() && segment != ".") {
            segments.push_back(segment);
        }
    }
    std::string out;
    for (const std::string_view segment : segments) {
        out += '/';
        out += segment;
    }
    return out;
}

/// vLLM's endpoints that operate the server instead of serving a request, old and new names.
constexpr std::array<std::string_view, 39> kControlPaths{
    "/abort_requests",
    "/collective_rpc",
    "/docs",
    "/get_world_size",
    "/health",
    "/inference/v1/generate",
    "/init_weight_transfer_engine",
    "/invocations",
    "/is_paused",
    "/is_scaling_elastic_ep",
    "/is_sleeping",
    "/live",
    "/load",
    "/metrics",
    "/openapi.json",
    "/pause",
    "/ping",
    "/ready",
    "/redoc",
    "/release_memory_occupation",
    "/reset_encoder_cache",
    "/reset_mm_cache",
    "/reset_prefix_cache",
    "/resume",
    "/resume_memory_occupation",
    "/scale_elastic_ep",
    "/server_info",
    "/shutdown",
    "/sleep",
    "/start_profile",
    "/stop_profile",
    "/start_weight_update",
    "/finish_weight_update",
    "/update_config",
    "/update_weights",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/version",
    "/wake_up",
};

/// Whoever answers GET answers HEAD (RFC 9110 §9.1).
bool answers(const Endpoint& endpoint, std::string_view method) {
    return endpoint.method == method || (method == "HEAD" && endpoint.method == "GET");
}

}  // namespace

Result<SurfaceMatch> find_surface(std::string_view method, std::string_view path) {
    for (const Endpoint& endpoint : kEndpoints) {
        if (!answers(endpoint, method)) {
            continue;
        }
        const auto id = match(endpoint.path, path);
        if (!id) {
            continue;
        }
        auto decoded = percent_decoded_strictly(*id);
        if (!decoded) {
            return failure(Errc::bad_target, Origin::downstream,
                           "The id in the path has a broken percent-encoding or a control "
                           "character.");
        }
        return SurfaceMatch{&endpoint.surface, *std::move(decoded)};
    }
    const std::string_view allowed = allowed_methods(path);
    if (allowed.empty()) {
        return failure(Errc::path_not_found, Origin::downstream,
                       "No API and no route answers this path; see GET /v1/models for the models "
                       "and the documentation for the paths.");
    }
    return failure(Errc::method_not_allowed, Origin::downstream,
                   "This path answers only " + std::string(allowed) + ".");
}

std::string_view allowed_methods(std::string_view path) {
    // Only stored responses answer two methods, and never POST beside them.
    std::string_view allowed;
    for (const Endpoint& endpoint : kEndpoints) {
        if (match(endpoint.path, path)) {
            allowed = endpoint.method == "DELETE" ? "GET, HEAD, DELETE"
                      : endpoint.method == "GET"  ? "GET, HEAD"
                                                  : endpoint.method;
        }
    }
    return allowed;
}

const Surface& surface_of(Api api) {
    return std::ranges::find(kEndpoints, api, [](const Endpoint& e) { return e.surface.api; })
        ->surface;
}

metrics::Dialect error_dialect(std::string_view path) {
    if (path == "/v1/messages" || path.starts_with("/v1/messages/")) {
        return Dialect::messages;
    }
    if (path == "/v1/responses" || path.starts_with("/v1/responses/")) {
        return Dialect::responses;
    }
    return path == "/v1/completions" ? Dialect::completions : Dialect::chat;
}

bool is_control_path(std::string_view path) {
    const std::string clean = normalised(path);
    // Prometheus' handler is mounted, so everything below it answers too.
    return std::ranges::find(kControlPaths, clean) != kControlPaths.end() ||
           clean.starts_with("/metrics/");
}

}  // namespace millrace::openai

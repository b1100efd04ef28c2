#include "bench/vllm_sim/plan.hpp"

#include <algorithm>
#include <utility>

#include "bench/vllm_sim/continuation.hpp"
#include "bench/vllm_sim/dialect.hpp"
#include "bench/vllm_sim/text.hpp"

namespace millrace::vllm_sim {
namespace {

std::unexpected<Refusal> refuse(int status, std::string message,
                                std::string type = "BadRequestError", std::string param = {}) {
    return std::unexpected(
        Refusal{{status, std::move(message), std::move(type), std::move(param)}, 0, false});
}

std::string_view type_of(std::uint32_t status) {
    switch (status) {
        case 404: return "NotFoundError";
        case 422: return "UnprocessableEntityError";
        case 429: return "RateLimitError";
        case 501: return "NotImplementedError";
        case 503: return "ServiceUnavailableError";
        default: return status >= 500 ? "InternalServerError" : "BadRequestError";
    }
}

std::expected<void, Refusal> check_usage(const Options& options, const Fault& fault,
                                         const ApiRequest& request) {
    if (request.has_stream_options && !request.stream) {
        return refuse(400, "Stream options can only be defined when `stream=True`.",
                      "BadRequestError", "stream_options");
    }
    if (options.refuse_continuous_usage && request.asks_continuous) {
        return refuse(400,
                      "Extra inputs are not permitted: 'stream_options.continuous_usage_stats'.",
                      "BadRequestError", "stream_options.continuous_usage_stats");
    }
    if (fault.kind == FaultKind::refuse_usage && request.has_stream_options) {
        auto refused =
            refuse(400,
                   request.asks_continuous ? "Extra inputs are not permitted: "
                                             "'stream_options.continuous_usage_stats'."
                                           : "Extra inputs are not permitted: 'stream_options'.",
                   "BadRequestError", "stream_options");
        refused.error().by_fault = true;
        return refused;
    }
    return {};
}

std::expected<void, Refusal> check_model(const Options& options, ApiRequest& request) {
    if (request.model.empty()) {
        request.model = options.models.front();  // vLLM serves its own model when none is named
        return {};
    }
    if (options.any_model ||
        std::ranges::find(options.models, request.model) != options.models.end()) {
        return {};
    }
    return refuse(404, "The model `" + request.model + "` does not exist.", "NotFoundError",
                  "model");
}

/// How many tokens, and whether the request's limit cut them.
void plan_tokens(Engine& engine, const ApiRequest& request, Reply& reply) {
    const Options& options = engine.shared.options;
    const Controls& controls = request.controls;
    std::optional<std::uint32_t> bytes = controls.response_bytes;
    if (!bytes && !controls.tokens) {
        bytes = options.response_bytes;
    }
    std::uint32_t tokens = controls.tokens.value_or(options.tokens);
    if (bytes) {
        tokens = engine.texts.of(reply.seed).tokens_for_bytes(*bytes);
        reply.text_bytes = bytes;
    }
    // The controls mean the whole text: a continued answer adds what the final message lacks of it.
    const std::uint32_t total = std::max(1U, tokens);
    reply.tokens = total - std::min(reply.begin, total);
    if (request.max_tokens && *request.max_tokens < reply.tokens) {
        reply.tokens = *request.max_tokens;
        reply.length = true;
    }
    const std::uint32_t reasoning = controls.reasoning_tokens.value_or(0);
    reply.reasoning_tokens = std::min(reasoning - std::min(reply.begin, reasoning), reply.tokens);
}

void plan_prompt(Engine& engine, const ApiRequest& request, Reply& reply) {
    const Controls& controls = request.controls;
    std::string_view counted = request.prompt;
    Continuation continuation;
    if (request.continues) {
        const FinalMessage message = final_message_of(request.prompt);
        continuation = continue_after(message.text, reply.seed);
        counted = counted.substr(0, message.earlier_bytes);  // only its length counts
    }
    reply.begin = continuation.begin;
    reply.prompt_tokens =
        std::max(1U, controls.prompt_tokens.value_or(
                         prompt_tokens_of(counted) +
                         (request.query_text.empty() || request.api == Api::tokenize
                              ? 0
                              : prompt_tokens_of(request.query_text)))) +
        continuation.held;
    if (controls.cached_tokens) {
        reply.cached_tokens = std::min(*controls.cached_tokens, reply.prompt_tokens);
    } else if (engine.shared.options.prefix_cache_blocks > 0 && generates(request.api)) {
        reply.cached_tokens =
            engine.cache.lookup_and_insert(block_hashes(request.prompt), reply.prompt_tokens);
    }
}

Reply make_reply(Engine& engine, const Incoming& incoming, const ApiRequest& request) {
    const Options& options = engine.shared.options;
    Reply reply;
    reply.api = request.api;
    reply.id = id_prefix(request.api);
    reply.id += incoming.request_id.empty() ? random_hex(engine.random) : incoming.request_id;
    append_json_string(reply.id_json, reply.id);
    append_json_string(reply.model_json, request.model);
    reply.created = engine.unix_seconds;
    reply.seed = request.controls.seed.value_or(options.seed);
    const bool one = request.api == Api::messages || request.api == Api::responses;
    reply.prompts = request.api == Api::completions ? request.inputs : 1;
    reply.choices = one ? 1 : request.n * reply.prompts;
    reply.stream = request.stream && generates(request.api);
    reply.include_usage = request.include_usage || options.force_include_usage;
    reply.continuous_usage = request.continuous_usage || options.force_include_usage;
    reply.null_usage = options.null_usage;
    reply.prompt_details = options.prompt_details;
    reply.tool = request.tool;
    reply.named_tool = request.named_tool;
    reply.store = request.store;
    reply.previous_response_id = request.previous_response_id;
    plan_prompt(engine, request, reply);
    if (generates(request.api)) {
        plan_tokens(engine, request, reply);
    }
    return reply;
}

std::expected<Fault, Refusal> fault_of(Engine& engine, const std::string& asked) {
    if (asked.empty()) {
        return engine.shared.faults.next();
    }
    const auto fault = parse_fault(asked);
    if (!fault) {
        return refuse(400, fault.error().detail);
    }
    return *fault;
}

std::expected<void, Refusal> check(Engine& engine, const Fault& fault, ApiRequest& request) {
    if (fault.kind == FaultKind::status) {
        return std::unexpected(Refusal{{static_cast<int>(fault.value),
                                        "A fault was asked for.",
                                        std::string(type_of(fault.value)),
                                        {}},
                                       fault.retry_after,
                                       true});
    }
    if (engine.shared.sleep_level.load(std::memory_order_relaxed) > 0) {
        return refuse(503, "The engine is asleep.", "ServiceUnavailableError");
    }
    if (auto usage = check_usage(engine.shared.options, fault, request); !usage) {
        return usage;
    }
    if (engine.shared.options.refuse_continuation && request.continues) {
        return refuse(400, "Extra inputs are not permitted: 'continue_final_message'.",
                      "BadRequestError", "continue_final_message");
    }
    if (auto model = check_model(engine.shared.options, request); !model) {
        return model;
    }
    if (request.max_tokens && *request.max_tokens == 0) {
        return refuse(400, "max_tokens must be at least 1, got 0.", "BadRequestError",
                      "max_tokens");
    }
    if (!request.previous_response_id.empty() &&
        !engine.shared.responses.find(request.previous_response_id)) {
        return refuse(404, "Response with id '" + request.previous_response_id + "' not found.",
                      "NotFoundError", "previous_response_id");
    }
    return {};
}

}  // namespace

std::string random_hex(Random& random) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text(32, '0');
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        bits = i % 16 == 0 ? random() : bits >> 4U;
        text[i] = kDigits[bits & 15U];
    }
    return text;
}

std::expected<Planned, Refusal> plan(Engine& engine, const Incoming& incoming) {
    if (!incoming.bad_control.empty()) {
        return refuse(400, "The header " + incoming.bad_control + " makes no sense.");
    }
    auto request = parse_request(incoming.api, incoming.body, incoming.controls);
    if (!request) {
        return std::unexpected(Refusal{std::move(request.error()), 0, false});
    }
    const auto fault = fault_of(engine, request->controls.fault);
    if (!fault) {
        return std::unexpected(fault.error());
    }
    if (auto checked = check(engine, *fault, *request); !checked) {
        return std::unexpected(std::move(checked.error()));
    }
    Planned planned;
    planned.reply = make_reply(engine, incoming, *request);
    const Options& options = engine.shared.options;
    if (planned.reply.prompt_tokens > options.max_model_len) {
        return refuse(400, "This model's maximum context length is " +
                               std::to_string(options.max_model_len) +
                               " tokens. However, your request has " +
                               std::to_string(planned.reply.prompt_tokens) + " input tokens.");
    }
    planned.request = std::move(*request);
    planned.fault = *fault;
    if (fault->kind == FaultKind::no_usage) {
        planned.reply.include_usage = false;
    }
    const Controls& controls = planned.request.controls;
    planned.batched =
        options.batch && generates(incoming.api) && !controls.ttft && !controls.inter_token;
    planned.ttft = controls.ttft.value_or(Duration::zero());
    planned.inter_token = controls.inter_token.value_or(Duration::zero());
    return planned;
}

}  // namespace millrace::vllm_sim

#include "gateway/pipeline/preference.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "metrics/tokens/json_cursor.hpp"
#include "routing/canary.hpp"

namespace millrace::gateway {
namespace {

/// The text of a top-level member, as it is written; empty when there is none.
std::string_view text_member(std::string_view body, std::string_view name) {
    metrics::JsonCursor cursor(body);
    cursor.begin_object();
    for (std::string_view key; cursor.next_member(key);) {
        const auto value = cursor.skip_value();
        if (key == name) {
            return value.starts_with('"') ? value : std::string_view();
        }
    }
    return {};
}

std::optional<std::uint64_t> session_of(const Preferring& request) {
    const auto& key = request.decision.rule->model->picker.session;
    if (!key.header.empty()) {
        if (const auto* field = find_field(request.headers, key.header);
            field != nullptr && !field->value.empty()) {
            return routing::stable_hash(field->value);
        }
    }
    if (!key.field.empty() && request.fields != nullptr) {
        if (const auto text = text_member(request.body, key.field); !text.empty()) {
            return routing::stable_hash(text);
        }
    }
    if (key.api_key && !request.key_id.empty()) {
        return routing::stable_hash(request.key_id);
    }
    return std::nullopt;
}

std::uint32_t in_tokens(std::size_t bytes, double tokens_per_byte) {
    constexpr double kMost = std::numeric_limits<std::uint32_t>::max() / 4.0;
    return static_cast<std::uint32_t>(
        std::clamp(static_cast<double>(bytes) * tokens_per_byte, 1.0, kMost));
}

void add_blocks(const Preferring& request, routing::PromptBlocks& blocks,
                routing::Selection& selection) {
    blocks.start(request.decision.served_name);
    for (const auto& part : request.fields->prompt_parts) {
        blocks.feed(request.body.substr(part.offset, part.length));
    }
    selection.blocks.assign(blocks.hashes().begin(), blocks.hashes().end());
    selection.tokens_per_block = in_tokens(blocks.block_bytes(), request.tokens_per_byte);
    selection.prefixes = &request.decision.target->pool->prefixes();
}

}  // namespace

std::uint64_t estimated_prompt_tokens(const Request& request, const BackendRuntime& backend) {
    const auto bytes = request.fields ? request.fields->prompt_bytes : request.body.size();
    const float ratio = backend.learned->tokens_per_byte.load(std::memory_order_relaxed);
    return static_cast<std::uint64_t>(static_cast<float>(bytes) * ratio);
}

routing::Selection selection_for(const Preferring& request, routing::PromptBlocks& blocks) {
    routing::Selection selection;
    const auto& policy = request.decision.rule->policy;
    if (!policy) {
        return selection;
    }
    selection.policy = &*policy;
    const auto bytes =
        request.fields != nullptr ? request.fields->prompt_bytes : request.body.size();
    selection.request.prompt_tokens = in_tokens(bytes, request.tokens_per_byte);
    for (const auto stage : policy->stages) {
        switch (stage) {
            case routing::Stage::lora_affinity:
                selection.adapter = routing::stable_hash(request.decision.served_name);
                selection.request.wants_adapter = true;
                break;
            case routing::Stage::session_affinity:
                selection.request.session_key = session_of(request);
                break;
            case routing::Stage::prefix_affinity:
                if (request.fields != nullptr) {
                    add_blocks(request, blocks, selection);
                }
                break;
            case routing::Stage::load_aware:
            case routing::Stage::least_pending: break;
        }
    }
    return selection;
}

routing::Selection selection_for(RequestScope& scope, const Request& request,
                                 const Resolved& resolved) {
    if (!resolved.decision.rule->policy) {
        return {};
    }
    const auto& backend = scope.snapshot().backend_of(*resolved.decision.target);
    const Preferring preferring{
        resolved.decision,
        request.fields ? &*request.fields : nullptr,
        request.body,
        scope.exchange.head.fields.all(),
        scope.principal.key_id,
        static_cast<double>(backend.learned->tokens_per_byte.load(std::memory_order_relaxed))};
    return selection_for(preferring, scope.services.prompt_blocks);
}

void note_first_token(RequestScope& scope, Answer& answer) {
    const Instant now = scope.services.loop.recent();
    const auto took = now - answer.begun_at;
    const auto normalised = routing::normalised_ttft(took, answer.prompt_tokens);
    auto& load = answer.endpoint.shared()->load;
    answer.endpoint.first_token();
    load.first_tokens.observe(normalised);
    // One that continues a stream has a longer prompt than the estimate says.
    if (answer.backend->settings->outliers.first_token_percent > 0 && !answer.record->continues) {
        answer.pool->first_token(answer.endpoint, normalised, answer.begun_at, now);
    }
    if (answer.picked_by_load) {
        load.observe_first_token(answer.work, took);
    }
}

}  // namespace millrace::gateway

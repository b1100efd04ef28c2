#include "gateway/openai/continuation.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <nlohmann/json.hpp>

#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {
namespace {

using metrics::JsonCursor;
using Json = nlohmann::ordered_json;

/// Members that bind the whole answer to something that a second half cannot know of.
bool speaks_against(std::string_view key, std::string_view value) {
    constexpr std::array<std::string_view, 8> kWhole{"echo",
                                                     "continue_final_message",
                                                     "add_generation_prompt",
                                                     "min_tokens",
                                                     "prompt_logprobs",
                                                     "structured_outputs",
                                                     "use_beam_search",
                                                     "best_of"};
    if (value == "null" || value == "false") {
        return false;
    }
    if (key == "tool_choice") {
        return value != "\"auto\"" && value != "\"none\"";
    }
    if (key == "response_format") {
        return value.find("\"text\"") == std::string_view::npos;
    }
    return key.starts_with("guided_") || std::ranges::find(kWhole, key) != kWhole.end();
}

bool is_empty_text(const Json& value) {
    return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty());
}

/// Takes out what the client has been told already; true when nothing is left.
bool says_nothing_new(Json& choice) {
    const auto delta = choice.find("delta");
    if (delta != choice.end() && delta->is_object()) {
        delta->erase("role");
    }
    const auto reason = choice.find("finish_reason");
    if (reason != choice.end() && !reason->is_null()) {
        return false;
    }
    return delta == choice.end() ||
           (delta->is_object() && std::ranges::all_of(*delta, is_empty_text));
}

std::uint64_t count_in(const Json& usage, const char* key) {
    const auto found = usage.find(key);
    return found != usage.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

Json usage_of(std::uint64_t prompt, std::uint64_t completion) {
    return {{"prompt_tokens", prompt},
            {"total_tokens", prompt + completion},
            {"completion_tokens", completion}};
}

}  // namespace

bool Continuation::suits(const RequestFields& fields, std::size_t body_size) {
    return fields.n.value_or(1) == 1 && body_size <= kMaxBody;
}

void Continuation::give_up() {
    said_.is_all = false;
    std::string().swap(said_.content);
}

void Continuation::begin(std::string_view data) {
    JsonCursor cursor(data);
    std::string_view key;
    if (!id_.empty() || !cursor.begin_object()) {
        return;
    }
    while (cursor.next_member(key)) {
        const auto value = cursor.skip_value();
        if (key == "model" && is_json_string(value)) {
            model_ = value;
        } else if (key == "id" && is_json_string(value)) {
            id_ = value;
        } else if (key == "created" && metrics::json_uint(value)) {
            created_ = value;
        }
    }
}

bool Continuation::may_go_on(const StreamFacts& facts) const {
    const bool is_one_text = said_.is_all && facts.choices.size() <= 1 &&
                             facts.oversized_events == 0 && facts.unread_events == 0;
    if (!is_one_text || facts.saw_terminal || !facts.finish_reason.empty()) {
        return false;
    }
    if (facts.content_events == 0) {
        return true;
    }
    const auto& choice = facts.choices.front();
    return choice.prompt && choice.completion;
}

std::optional<Continuation::Plan> Continuation::plan_for(std::string_view body) {
    Plan plan;
    JsonCursor cursor(body);
    std::string_view key;
    if (!cursor.begin_object()) {
        return std::nullopt;
    }
    plan.object_start = cursor.offset();
    while (cursor.next_member(key)) {
        const std::size_t at = cursor.offset();
        const auto value = cursor.skip_value();
        const Span span{at, value.size()};
        if (speaks_against(key, value)) {
            return std::nullopt;
        }
        if (key == "messages") {
            if (plan.messages_end != 0 || !value.starts_with('[') || !is_filled(value)) {
                return std::nullopt;
            }
            plan.messages_end = span.end() - 1;
        } else if (key == "max_tokens" && value != "null") {
            plan.max_tokens = span;
        } else if (key == "max_completion_tokens" && value != "null") {
            plan.max_completion = span;
        }
    }
    return cursor.at_end() && plan.messages_end != 0 ? std::optional(plan) : std::nullopt;
}

bool Continuation::break_off(const StreamFacts& facts, const RequestFields& fields,
                             std::string_view body) {
    if (!may_go_on(facts)) {
        return false;
    }
    auto before = before_;
    if (facts.content_events > 0) {
        const auto& choice = facts.choices.front();
        before = before_.value_or(metrics::TokenUsage{choice.prompt, {}, 0, {}, {}});
        *before->completion += *choice.completion;
    }
    if (before) {
        auto plan = metrics::json_unescape(said_.content) ? plan_for(body) : std::nullopt;
        const auto limit =
            fields.max_completion_tokens ? fields.max_completion_tokens : fields.max_tokens;
        if (!plan || (limit && *limit <= *before->completion)) {
            return false;
        }
        plan_ = *plan;
        plan_.tokens_left = limit ? *limit - *before->completion : 0;
    }
    before_ = before;
    splices_ = true;
    return true;
}

void Continuation::edit(BodyEdit& edit) const {
    edit.insert(plan_.object_start,
                R"("continue_final_message":true,"add_generation_prompt":false,)");
    edit.insert(plan_.messages_end,
                R"(,{"role":"assistant","content":")" + said_.content + R"("})");
    for (const auto& limit : {plan_.max_tokens, plan_.max_completion}) {
        if (limit) {
            edit.replace(*limit, std::to_string(plan_.tokens_left));
        }
    }
}

std::array<std::pair<const char*, const std::string*>, 3> Continuation::members() const {
    return {{{"id", &id_}, {"created", &created_}, {"model", &model_}}};
}

std::string_view Continuation::splice(std::string_view data, ShowUsage show) {
    auto event = Json::parse(data, nullptr, /*allow_exceptions=*/false);
    if (!event.is_object()) {
        auto& kept = events_.emplace_back("data: " + std::string(data));
        std::ranges::replace(kept, '\n', ' ');
        return kept.append("\n\n");
    }
    for (const auto& [key, value] : members()) {
        if (!value->empty() && event.contains(key)) {
            event[key] = Json::parse(*value);
        }
    }
    const auto usage = event.find("usage");
    const bool has_usage = usage != event.end() && usage->is_object();
    if (has_usage && before_) {
        const auto prompt = *before_->prompt;
        const auto completion = *before_->completion + count_in(*usage, "completion_tokens");
        *usage = usage_of(prompt, completion);
    }
    const auto choices = event.find("choices");
    const bool is_final = has_usage && choices != event.end() && choices->empty();
    if (is_final ? show == ShowUsage::nothing
                 : choices != event.end() && choices->size() == 1 && choices->front().is_object() &&
                       says_nothing_new(choices->front())) {
        return {};
    }
    if (!is_final && usage != event.end() && show != ShowUsage::everything) {
        event.erase(usage);
    }
    return events_.emplace_back("data: " + event.dump() + "\n\n");
}

std::string Continuation::ending(const StreamFacts& facts, ShowUsage show) const {
    if (facts.choices.size() != 1 || !facts.choices.front().finished || facts.saw_terminal ||
        facts.error || facts.oversized_events > 0) {
        return {};
    }
    const auto& choice = facts.choices.front();
    std::string out;
    if (show != ShowUsage::nothing && !facts.final_usage) {
        const auto prompt = before_ ? before_->prompt : choice.prompt;
        if (!prompt || !choice.completion) {
            return {};
        }
        const auto completion = *choice.completion + (before_ ? *before_->completion : 0);
        Json event{{"object", "chat.completion.chunk"}};
        for (const auto& [key, value] : members()) {
            if (!value->empty()) {
                event[key] = Json::parse(*value);
            }
        }
        event["choices"] = Json::array();
        event["usage"] = usage_of(*prompt, completion);
        out = "data: " + event.dump() + "\n\n";
    }
    return out + "data: [DONE]\n\n";
}

std::optional<metrics::Settlement> Continuation::bill(
    const std::optional<metrics::Settlement>& last) const {
    if (!before_) {
        return last;
    }
    metrics::Settlement all{metrics::Exactness::partial, *before_};
    if (last) {
        *all.tokens.completion += last->tokens.completion.value_or(0);
    }
    return all;
}

}  // namespace millrace::openai

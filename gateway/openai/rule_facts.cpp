#include "gateway/openai/rule_facts.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "metrics/tokens/json_cursor.hpp"
#include "metrics/tokens/json_text.hpp"

namespace millrace::openai {

void RuleInputs::read_json(const RequestFields& fields, std::string_view body,
                           const routing::RuleSet& rules) {
    facts_.prompt_bytes = fields.prompt_bytes;
    facts_.max_tokens = fields.max_completion_tokens ? fields.max_completion_tokens
                        : fields.max_output_tokens   ? fields.max_output_tokens
                                                     : fields.max_tokens;
    facts_.has_tools = fields.has_tools;
    facts_.has_images = fields.has_images;
    if (!rules.fields().empty()) {
        read_fields(body, rules.fields());
    }
}

const routing::RuleFacts& RuleInputs::facts(float tokens_per_byte, std::string_view tier) {
    facts_.prompt_tokens = static_cast<std::uint64_t>(static_cast<double>(facts_.prompt_bytes) *
                                                      static_cast<double>(tokens_per_byte));
    facts_.tier = tier;
    facts_.fields = fields_;
    return facts_;
}

void RuleInputs::read_fields(std::string_view body, const std::vector<std::string>& names) {
    metrics::JsonCursor cursor(body);
    cursor.begin_object();
    std::string_view raw;
    while (cursor.next_member(raw)) {
        const auto value = cursor.skip_value();
        const auto escaped = raw.find('\\') != std::string_view::npos;
        const auto key = escaped ? metrics::json_unescape(raw) : std::nullopt;
        const auto name = std::ranges::find(names, escaped ? key.value_or("") : raw);
        if (name != names.end()) {
            take(*name, value);
        }
    }
}

/// The last one of a name counts, as it does for the servers; null counts as absent.
void RuleInputs::take(std::string_view name, std::string_view value) {
    std::erase_if(fields_, [name](const auto& field) { return field.name == name; });
    routing::BodyField field{name, {}};
    if (value.starts_with('"')) {
        auto text = metrics::json_unescape(value.substr(1, value.size() - 2));
        if (!text) {
            return;
        }
        field.value = std::string_view(texts_.emplace_front(std::move(*text)));
    } else if (value == "true" || value == "false") {
        field.value = value == "true";
    } else if (!value.starts_with('{') && !value.starts_with('[')) {
        double number = 0;
        const auto* end = value.data() + value.size();
        const auto [stopped, error] = std::from_chars(value.data(), end, number);
        if (error != std::errc{} || stopped != end || !metrics::is_json_scalar(value)) {
            return;
        }
        field.value = number;
    }
    fields_.push_back(field);
}

}  // namespace millrace::openai

#include "routing/rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <type_traits>
#include <utility>

namespace millrace::routing {
namespace {

std::string to_text(double value) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    return {buffer.data(), end};
}

std::string to_text(std::uint64_t value) {
    return std::to_string(value);
}

/// Exact, because it stands beside the limit that it is compared with.
std::string in_bytes(std::uint64_t bytes) {
    constexpr std::uint64_t kKiB = 1024;
    return bytes > 0 && bytes % kKiB == 0 ? to_text(bytes / kKiB) + " KiB"
                                          : to_text(bytes) + " bytes";
}

std::string quoted(std::string_view text) {
    // Values of clients: what is long or not printable must not reach a terminal.
    constexpr std::size_t kMost = 64;
    std::string out = "\"";
    for (const char c : text.substr(0, kMost)) {
        out += c >= 0x20 && c < 0x7f ? c : '?';
    }
    return out + (text.size() > kMost ? "…\"" : "\"");
}

struct FieldText {
    std::string operator()(std::monostate) const { return "present"; }
    std::string operator()(std::string_view text) const { return quoted(text); }
    std::string operator()(double number) const { return to_text(number); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
};

/// Decides one rule, condition by condition, and says why if asked.
class Check {
public:
    Check(const RuleFacts& facts, bool explain) : facts_(facts), explain_(explain) {}

    bool all(const ModelRule& rule) {
        return in_range("prompt", "", rule.prompt_bytes, facts_.prompt_bytes, in_bytes) &&
               in_range("prompt tokens", "", rule.prompt_tokens, facts_.prompt_tokens, plain) &&
               in_range("max_tokens", "", rule.max_tokens, facts_.max_tokens, plain) &&
               flag("tools", rule.tools, facts_.has_tools) &&
               flag("images", rule.images, facts_.has_images) && tier(rule.tiers) &&
               std::ranges::all_of(rule.headers, [this](const auto& h) { return header(h); }) &&
               std::ranges::all_of(rule.fields, [this](const auto& f) { return field(f); });
    }

    /// Of a rule that applies: all its conditions; else the one that failed.
    std::string reasons() && { return reasons_.empty() ? "no conditions" : std::move(reasons_); }

private:
    static std::string plain(std::uint64_t value) { return to_text(value); }

    /// `describe` is called for an explanation only.
    template <class Describe>
    bool note(bool met, const Describe& describe) {
        if (explain_) {
            if (met) {
                reasons_ += reasons_.empty() ? "" : ", ";
                reasons_ += describe();
            } else {
                reasons_ = describe();
            }
        }
        return met;
    }

    template <class Number, class Text>
    bool in_range(std::string_view what, std::string_view name, const RuleRange<Number>& range,
                  std::type_identity_t<std::optional<Number>> value, const Text& text) {
        const auto side = [&](const std::optional<Number>& bound, bool met, const char* yes,
                              const char* no) {
            return !bound || note(met, [&] {
                return std::string(what) + std::string(name) +
                       (value ? " " + text(*value) + (met ? yes : no) + text(*bound) : " absent");
            });
        };
        return side(range.over, value && range.over && *value > *range.over, " > ", " <= ") &&
               side(range.up_to, value && range.up_to && *value <= *range.up_to, " <= ", " > ");
    }

    bool flag(std::string_view what, std::optional<bool> wanted, bool present) {
        return !wanted || note(*wanted == present, [&] {
            return std::string(what) + (present ? " present" : " absent");
        });
    }

    bool tier(const std::vector<std::string>& tiers) {
        return tiers.empty() || note(std::ranges::find(tiers, facts_.tier) != tiers.end(), [&] {
                   return facts_.tier.empty() ? std::string("no tier")
                                              : "tier " + quoted(facts_.tier);
               });
    }

    static bool matches(const HeaderCondition& wanted, std::string_view value) {
        switch (wanted.match) {
            case HeaderCondition::Match::present: return true;
            case HeaderCondition::Match::exact: return value == wanted.value;
            case HeaderCondition::Match::prefix: return value.starts_with(wanted.value);
        }
        return false;
    }

    bool header(const HeaderCondition& wanted) {
        const HeaderField* seen = nullptr;
        bool met = false;
        for (const auto& candidate : facts_.headers) {
            if (!met && equals_ignoring_case(candidate.name, wanted.name)) {
                seen = &candidate;
                met = matches(wanted, candidate.value);
            }
        }
        return note(met, [&] {
            return "header " + wanted.name + (seen == nullptr ? " absent" : "") +
                   (seen != nullptr ? " " + quoted(seen->value) : "");
        });
    }

    bool field(const FieldCondition& wanted) {
        const auto found = std::ranges::find(facts_.fields, wanted.name, &BodyField::name);
        if (found == facts_.fields.end()) {
            return note(false, [&] { return "field " + wanted.name + " absent"; });
        }
        const auto* number = std::get_if<double>(&found->value);
        const bool bounded = wanted.number.over || wanted.number.up_to;
        if (bounded && !in_range("field ", wanted.name, wanted.number,
                                 number != nullptr ? std::optional(*number) : std::nullopt,
                                 [](double v) { return to_text(v); })) {
            return false;
        }
        if (bounded && !wanted.equals) {
            return true;
        }
        return note(!wanted.equals || equal(*wanted.equals, found->value), [&] {
            return "field " + wanted.name + " " + std::visit(FieldText{}, found->value);
        });
    }

    static bool equal(const std::variant<std::string, double, bool>& wanted,
                      const BodyField::Value& value) {
        if (const auto* text = std::get_if<std::string>(&wanted)) {
            const auto* other = std::get_if<std::string_view>(&value);
            return other != nullptr && *other == *text;
        }
        if (const auto* number = std::get_if<double>(&wanted)) {
            const auto* other = std::get_if<double>(&value);
            return other != nullptr && *other == *number;
        }
        const auto* other = std::get_if<bool>(&value);
        return other != nullptr && *other == std::get<bool>(wanted);
    }

    const RuleFacts& facts_;
    bool explain_;
    std::string reasons_;
};

std::string problem(const ModelRule& rule, std::string_view text) {
    return "The rule \"" + rule.name + "\" " + std::string(text);
}

template <class Number>
bool is_empty(const RuleRange<Number>& range) {
    return range.over && range.up_to && *range.over >= *range.up_to;
}

/// What makes the rule useless, as the end of a sentence; empty = nothing.
std::string_view flaw_of(const ModelRule& rule) {
    if (std::ranges::none_of(rule.targets, [](const auto& t) { return t.weight > 0; })) {
        return "has no target with a weight; give it a model.";
    }
    if (is_empty(rule.prompt_bytes) || is_empty(rule.prompt_tokens) || is_empty(rule.max_tokens) ||
        std::ranges::any_of(rule.fields, [](const auto& f) { return is_empty(f.number); })) {
        return "has a range that nothing is in; its lower bound must be below its upper bound.";
    }
    return {};
}

}  // namespace

std::expected<RuleSet, std::string> RuleSet::compile(std::vector<ModelRule> rules,
                                                     std::string_view owner,
                                                     TicketDirectory& tickets) {
    RuleSet set;
    for (auto& rule : rules) {
        if (const auto flaw = flaw_of(rule); !flaw.empty()) {
            return std::unexpected(problem(rule, flaw));
        }
        for (const auto& field : rule.fields) {
            if (std::ranges::find(set.fields_, field.name) == set.fields_.end()) {
                set.fields_.push_back(field.name);
            }
        }
        if (set.fields_.size() > kMaxFields) {
            return std::unexpected(problem(rule,
                                           "looks at one body field too many; the rules of a "
                                           "model may look at " +
                                               std::to_string(kMaxFields) + "."));
        }
        std::vector<Share> shares;
        shares.reserve(rule.targets.size());
        for (const auto& target : rule.targets) {
            shares.push_back({target.model, target.weight});
        }
        WeightTable weights(shares);
        auto counter = weights.only() < weights.size()
                           ? nullptr
                           : tickets.acquire("rule " + std::string(owner) + " " + rule.name);
        set.rules_.push_back({std::move(rule), std::move(weights), std::move(counter)});
    }
    std::ranges::sort(set.fields_);
    return set;
}

std::optional<RuleChoice> RuleSet::choose(const RuleFacts& facts, Trace* trace) const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const auto& [rule, weights, tickets] = rules_[i];
        Check check(facts, trace != nullptr);
        const bool applies = check.all(rule);
        if (!applies) {
            if (trace != nullptr) {
                trace->add(
                    {"Rule `", rule.name, "` does not apply: ", std::move(check).reasons(), "."});
            }
            continue;
        }
        const auto index = tickets == nullptr ? weights.only() : weights.pick(tickets->next());
        const auto& model = rule.targets[index].model;
        if (trace != nullptr) {
            trace->add({"Rule `", rule.name, "`: ", std::move(check).reasons(), " -> model ", model,
                        tickets == nullptr ? "." : " by weight."});
        }
        return RuleChoice{i, rule.name, model};
    }
    return std::nullopt;
}

}  // namespace millrace::routing

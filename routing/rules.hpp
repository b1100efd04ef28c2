// Rules that choose a model from what a request looks like: the first rule whose conditions all
// hold names the model, by weight when it has several targets.
//
// Ranges are `over < value <= up_to`, so that a rule over 32 KiB and one up to 32 KiB never both
// apply and never both miss. A fact that the request does not carry (no max_tokens, no such field)
// meets no condition. Headers and body fields are untrusted data: what only some callers may have
// belongs under `tiers`, which come from the tenant's configuration. The explanation is written by
// the code that decides. Thread-safety: a RuleSet is immutable; tickets are shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/base/header_field.hpp"
#include "routing/canary.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

/// `over < value <= up_to`; an empty side does not bound.
template <class Number>
struct RuleRange {
    std::optional<Number> over;
    std::optional<Number> up_to;
};

struct HeaderCondition {
    enum class Match : std::uint8_t { present, exact, prefix };
    std::string name;  ///< any case; one of several fields of that name is enough
    Match match = Match::present;
    std::string value;  ///< of exact and prefix; case matters
};

/// A top-level member of the JSON body. Neither `equals` nor a bound: it is present.
struct FieldCondition {
    std::string name;
    std::optional<std::variant<std::string, double, bool>> equals;
    RuleRange<double> number;
};

struct RuleTarget {
    std::string model;
    std::uint32_t weight = 1;  ///< 0..kMaxWeight
};

/// One rule as it is configured; all conditions must hold, and one without any always applies.
struct ModelRule {
    std::string name;
    RuleRange<std::uint64_t> prompt_bytes;
    RuleRange<std::uint64_t> prompt_tokens;  ///< estimated
    RuleRange<std::uint64_t> max_tokens;     ///< what the client asks for
    std::optional<bool> tools;
    std::optional<bool> images;
    std::vector<std::string> tiers;  ///< one of them; empty = any
    std::vector<HeaderCondition> headers;
    std::vector<FieldCondition> fields;
    std::vector<RuleTarget> targets;
};

/// What the body has at one of RuleSet::fields(): text without its escapes, or nothing comparable
/// (an object or array). null is no field.
struct BodyField {
    using Value = std::variant<std::monostate, std::string_view, double, bool>;
    std::string_view name;
    Value value;
};

struct RuleFacts {
    std::uint64_t prompt_bytes = 0;
    std::uint64_t prompt_tokens = 0;
    std::optional<std::uint64_t> max_tokens{};
    bool has_tools = false;
    bool has_images = false;
    std::string_view tier{};  ///< the tenant's; empty = none
    HeaderFields headers{};
    std::span<const BodyField> fields{};
};

struct RuleChoice {
    std::size_t rule = 0;  ///< index
    std::string_view rule_name;
    std::string_view model;
};

class RuleSet {
public:
    /// Distinct body fields that the rules of one set may look at.
    static constexpr std::size_t kMaxFields = 8;

    RuleSet() = default;
    /// `owner` (the model that has these rules) and a rule's name identify its ticket counter. The
    /// error is a sentence that names the rule and says what to do.
    static std::expected<RuleSet, std::string> compile(std::vector<ModelRule> rules,
                                                       std::string_view owner,
                                                       TicketDirectory& tickets);

    bool empty() const { return rules_.empty(); }
    /// Body fields that the peek has to look for, sorted.
    const std::vector<std::string>& fields() const { return fields_; }

    /// The first rule that applies; nullopt when none does. Takes a ticket if that rule has several
    /// targets. Views the set.
    std::optional<RuleChoice> choose(const RuleFacts& facts, Trace* trace = nullptr) const;

private:
    struct Compiled {
        ModelRule rule;
        WeightTable weights;
        std::shared_ptr<TicketCounter> tickets;
    };

    std::vector<Compiled> rules_;
    std::vector<std::string> fields_;
};

}  // namespace millrace::routing

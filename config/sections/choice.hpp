// How a model chooses the one that serves a request: rules over what the request looks like, or
// what was measured of the candidates. Part of config/model.hpp. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace millrace::config {

/// `over < value <= up_to`; an absent side does not bound.
struct CountRange {
    std::optional<std::uint64_t> over;
    std::optional<std::uint64_t> up_to;
    bool operator==(const CountRange&) const = default;
};

/// The same in bytes.
struct SizeRange {
    std::optional<std::uint64_t> over;
    std::optional<std::uint64_t> up_to;
    bool operator==(const SizeRange&) const = default;
};

/// A request header; neither `exact` nor `prefix`: it is present.
struct RuleHeader {
    std::string name;
    std::optional<std::string> exact;
    std::optional<std::string> prefix;
    bool operator==(const RuleHeader&) const = default;
};

/// A top-level member of the JSON body; without the others: it is present.
struct RuleField {
    std::string name;
    /// `true`, `false` and what reads as a number stand for themselves, the rest for a string.
    std::optional<std::string> equals;
    std::optional<std::uint64_t> over;
    std::optional<std::uint64_t> up_to;
    bool operator==(const RuleField&) const = default;
};

/// All of these hold.
struct RuleConditions {
    std::optional<SizeRange> prompt_bytes;
    std::optional<CountRange> prompt_tokens;  ///< estimated
    std::optional<CountRange> max_tokens;
    std::optional<bool> tools;
    std::optional<bool> images;
    std::vector<std::string> tiers;  ///< the tenant's is one of them; empty = any
    std::vector<RuleHeader> headers;
    std::vector<RuleField> fields;
    bool operator==(const RuleConditions&) const = default;
};

struct RuleTarget {
    std::string model;
    std::uint32_t weight = 1;
    bool operator==(const RuleTarget&) const = default;
};

struct ModelRule {
    std::string name;
    RuleConditions when;
    std::vector<RuleTarget> targets;
    bool operator==(const ModelRule&) const = default;
};

/// The candidate with the lowest weighted sum of first token, price and failures.
struct AutoModel {
    std::vector<std::string> candidates;
    std::uint32_t speed = 1;
    std::uint32_t price = 1;
    std::uint32_t health = 4;
    std::uint32_t explore_percent = 2;
    bool operator==(const AutoModel&) const = default;
};

}  // namespace millrace::config

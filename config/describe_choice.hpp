// Keys of the sections about models that choose another one. See config/describe.hpp.
// Thread-safety: pure functions.
#pragma once

#include "config/field.hpp"

namespace millrace::config {

constexpr std::uint32_t kMaxWeight = 1'000'000;

template <class Visitor>
void describe(Visitor& visitor, Price& x) {
    visitor.field({.key = "prompt", .doc = "Dollars per million prompt tokens."}, x.prompt);
    visitor.field({.key = "completion", .doc = "Dollars per million completion tokens."},
                  x.completion);
}

template <class Visitor>
void describe(Visitor& visitor, CountRange& x) {
    visitor.field({.key = "over", .doc = "The number is larger than this."}, x.over);
    visitor.field({.key = "up_to", .doc = "The number is this or smaller."}, x.up_to);
}

template <class Visitor>
void describe(Visitor& visitor, SizeRange& x) {
    visitor.field({.key = "over", .doc = "It is larger than this.", .kind = Kind::size}, x.over);
    visitor.field({.key = "up_to", .doc = "It is this large or smaller.", .kind = Kind::size},
                  x.up_to);
}

template <class Visitor>
void describe(Visitor& visitor, RuleHeader& x) {
    visitor.field({.key = "name",
                   .doc = "Name of a request header, which anybody may set; alone, it is present.",
                   .required = true},
                  x.name);
    visitor.field({.key = "exact", .doc = "Its value; case matters."}, x.exact);
    visitor.field({.key = "prefix", .doc = "What its value begins with."}, x.prefix);
}

template <class Visitor>
void describe(Visitor& visitor, RuleField& x) {
    visitor.field({.key = "name",
                   .doc = "A top-level key of the JSON body; alone, it is present.",
                   .required = true},
                  x.name);
    visitor.field({.key = "equals",
                   .doc = "Its value: `true`, `false` and numbers are those of JSON, anything else "
                          "is a string."},
                  x.equals);
    visitor.field({.key = "over", .doc = "It is a number larger than this."}, x.over);
    visitor.field({.key = "up_to", .doc = "It is a number of this or smaller."}, x.up_to);
}

template <class Visitor>
void describe(Visitor& visitor, RuleConditions& x) {
    visitor.field({.key = "prompt_bytes",
                   .doc = "Size of messages, prompt, input, instructions, system and tools."},
                  x.prompt_bytes);
    visitor.field({.key = "prompt_tokens",
                   .doc = "The same in tokens, by the ratio that was learned of the last target's "
                          "backend."},
                  x.prompt_tokens);
    visitor.field({.key = "max_tokens",
                   .doc = "`max_completion_tokens`, `max_output_tokens` or `max_tokens` of the "
                          "request; one without them meets no condition."},
                  x.max_tokens);
    visitor.field({.key = "tools", .doc = "The request offers tools, or does not."}, x.tools);
    visitor.field({.key = "images", .doc = "The request has images, or has none."}, x.images);
    visitor.field({.key = "tiers", .doc = "The `tier` of the tenant is one of these."}, x.tiers);
    visitor.field({.key = "headers", .doc = "Request headers; all of them."}, x.headers);
    visitor.field({.key = "fields",
                   .doc = "Keys of the body; all of them. The rules of one model may look at eight "
                          "different ones."},
                  x.fields);
}

template <class Visitor>
void describe(Visitor& visitor, RuleTarget& x) {
    visitor.field({.key = "model", .doc = "The id of a model with `variants`.", .required = true},
                  x.model);
    visitor.field({.key = "weight",
                   .doc = "Share of the rule's requests, relative to the sum of weights; 0 = none.",
                   .max = kMaxWeight},
                  x.weight);
}

template <class Visitor>
void describe(Visitor& visitor, ModelRule& x) {
    visitor.field({.key = "name",
                   .doc = "Named by `millrace explain`; unique within the model.",
                   .required = true},
                  x.name);
    visitor.field({.key = "when", .doc = "Conditions, which must all hold; absent = always."},
                  x.when);
    visitor.field({.key = "targets",
                   .doc = "The models that get its requests, by weight.",
                   .required = true,
                   .min = 1},
                  x.targets);
}

template <class Visitor>
void describe(Visitor& visitor, AutoModel& x) {
    visitor.field({.key = "candidates",
                   .doc = "Ids of models with `variants`. One without a ready endpoint is taken "
                          "only when none has one.",
                   .required = true,
                   .min = 1},
                  x.candidates);
    visitor.field({.key = "speed",
                   .doc = "Weight of the time to the first token of streams, relative to the "
                          "slowest candidate's.",
                   .max = 1'000},
                  x.speed);
    visitor.field({.key = "price",
                   .doc = "Weight of what the request costs, relative to the dearest candidate's.",
                   .max = 1'000},
                  x.price);
    visitor.field(
        {.key = "health", .doc = "Weight of the part of requests that failed.", .max = 1'000},
        x.health);
    visitor.field({.key = "explore_percent",
                   .doc = "Requests that go to a candidate of which nothing recent is known.",
                   .max = 100},
                  x.explore_percent);
}

}  // namespace millrace::config

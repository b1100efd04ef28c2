// Keys of the sections about models and routes. See config/describe.hpp.
// Thread-safety: pure functions.
#pragma once

#include "config/describe_choice.hpp"
#include "config/describe_rollouts.hpp"
#include "config/field.hpp"

namespace millrace::config {

template <class Visitor>
void describe(Visitor& visitor, Sticky& x) {
    visitor.field({.key = "header",
                   .doc = "Requests with the same value of this header stay on one variant."},
                  x.header);
    visitor.field({.key = "api_key", .doc = "Requests of the same API key stay on one variant."},
                  x.api_key);
}

template <class Visitor>
void describe(Visitor& visitor, Variant& x) {
    visitor.field({.key = "name",
                   .doc = "Label of metrics and logs; unique within the model.",
                   .required = true},
                  x.name);
    visitor.field({.key = "weight",
                   .doc = "Share of the traffic, relative to the sum of weights; 0 = none.",
                   .max = kMaxWeight},
                  x.weight);
    visitor.field({.key = "backend", .doc = "A key of `backends`.", .required = true}, x.backend);
    visitor.field({.key = "served_name",
                   .doc = "The model name that the backend knows; empty = the id that the request "
                          "resolved to."},
                  x.served_name);
}

template <class Visitor>
void describe(Visitor& visitor, Retry& x) {
    visitor.field({.key = "attempts",
                   .doc = "Attempts at endpoints, the first one included; 1 = never again.",
                   .min = 1,
                   .max = 3},
                  x.attempts);
    visitor.field({.key = "budget_percent",
                   .doc = "Retries in flight, as a part of the requests in flight; three may run "
                          "in any case.",
                   .max = 100},
                  x.budget_percent);
    visitor.field({.key = "continue_streams",
                   .doc = "A chat stream whose backend fails in mid-stream goes on at another "
                          "endpoint of its pool, which is given what was said so far as a final "
                          "message to continue (`continue_final_message`, as vLLM and SGLang "
                          "understand it; others would begin anew). Only answers of plain text, "
                          "with tokens counted in every event (`usage.continuous`), to requests "
                          "of up to 1 MiB without forced tools or output grammars; anything else "
                          "breaks off as without this. Request and text, up to 256 KiB, stay in "
                          "memory, in `limits.buffered_bytes`, until the stream ends."},
                  x.continue_streams);
}

template <class Visitor>
void describe(Visitor& visitor, Heartbeat& x) {
    visitor.field(
        {.key = "after",
         .doc = "A stream that has waited this long for an endpoint begins with a comment "
                "that says where it stands; from then on errors are events of a 200. "
                "0 = never; 10 s or more is sensible.",
         .max = kOneDay},
        x.after);
    visitor.field({.key = "every", .doc = "And again after this time.", .min = 100, .max = kOneDay},
                  x.every);
}

template <class Visitor>
void describe(Visitor& visitor, SessionKey& x) {
    visitor.field({.key = "header", .doc = "The value of this request header, if it is there."},
                  x.header);
    visitor.field({.key = "field",
                   .doc = "Else the text of this member of the JSON body, such as "
                          "`prompt_cache_key` or `user`."},
                  x.field);
    visitor.field({.key = "api_key", .doc = "Else the API key's id."}, x.api_key);
}

template <class Visitor>
void describe(Visitor& visitor, Picker& x) {
    visitor.field({.key = "by",
                   .doc = "What decides, in this order: `adapter` (endpoints that hold the LoRA "
                          "adapter of the served name), `session`, `prefix` (the prompt's "
                          "beginning is in its cache), `load` (predicted time to the first "
                          "token); then the fewest requests in flight. Empty = the less busy of "
                          "two drawn at random.",
                   .max = 4},
                  x.by);
    visitor.field({.key = "guard_percent",
                   .doc = "The most that affinity may load an endpoint with, relative to its fair "
                          "share of the requests in flight; four are always allowed.",
                   .min = 100,
                   .max = 100'000},
                  x.guard_percent);
    visitor.field({.key = "session", .doc = "What `session` goes by."}, x.session);
}

template <class Visitor>
void describe(Visitor& visitor, Fallback& x) {
    visitor.field({.key = "model", .doc = "The id of another model.", .required = true}, x.model);
    visitor.field({.key = "variant", .doc = "One of its variants; absent = drawn by its weights."},
                  x.variant);
}

template <class Visitor>
void describe(Visitor& visitor, Overflow& x) {
    visitor.field({.key = "after",
                   .doc = "A request that has waited and will probably wait longer than this goes "
                          "to the first fallback with a free slot. 0 = it waits.",
                   .max = kOneDay},
                  x.after);
}

template <class Visitor>
void describe(Visitor& visitor, Hedge& x) {
    visitor.field({.key = "after",
                   .doc = "How long the first attempt may take to its first content token; 0 = the "
                          "95th percentile of what it took lately.",
                   .max = kOneDay},
                  x.after);
    visitor.field({.key = "budget_percent",
                   .doc = "Second attempts in flight, as a part of the requests in flight; one may "
                          "run in any case.",
                   .max = 100},
                  x.budget_percent);
}

template <class Visitor>
void describe(Visitor& visitor, Mirror& x) {
    visitor.field({.key = "backend", .doc = "A key of `backends`.", .required = true}, x.backend);
    visitor.field({.key = "percent", .doc = "The part of the requests that is copied.", .max = 100},
                  x.percent);
    visitor.field({.key = "served_name",
                   .doc = "The model name that the backend knows; absent = the one that the "
                          "original was sent with."},
                  x.served_name);
}

template <class Visitor>
void describe(Visitor& visitor, Model& x) {
    visitor.field({.key = "id",
                   .doc = "The name in `x-model-id` or in the body's `model`: letters, digits and "
                          "`._:/@+-`, at most 128, no `..`.",
                   .required = true},
                  x.id);
    visitor.field({.key = "aliases", .doc = "Other names of the same model."}, x.aliases);
    visitor.field({.key = "class", .doc = "Workload class, a label of metrics."}, x.workload_class);
    visitor.field({.key = "priority",
                   .doc = "Band in the queue of a backend: a higher one is always served first and "
                          "takes the place of lower ones when the queue is full.",
                   .max = 1'000},
                  x.priority);
    visitor.field({.key = "variants",
                   .doc = "The versions that share the model's traffic by weight. A model has "
                          "`variants`, `rules` or `auto`.",
                   .min = 1},
                  x.variants);
    visitor.field({.key = "rollout",
                   .doc = "One of exactly two variants is a canary that watches itself: its share "
                          "grows by steps while it is as good as the other and falls to nothing "
                          "when it proves worse. The weights of the variants do not count then. It "
                          "starts by itself unless there is a stored state."},
                  x.rollout);
    visitor.field({.key = "rules",
                   .doc = "Instead of variants: the first rule whose conditions hold names the "
                          "model that serves the request; the last one has no conditions.",
                   .min = 1},
                  x.rules);
    visitor.field({.key = "auto",
                   .doc = "Instead of variants: the candidate that costs least by first token, "
                          "price and failures, as measured over the last minutes."},
                  x.automatic);
    visitor.field({.key = "price", .doc = "What its tokens cost, for `auto`."}, x.price);
    visitor.field({.key = "sticky",
                   .doc = "What keeps one caller on one variant; at most one of these keys."},
                  x.sticky);
    visitor.field({.key = "picker", .doc = "How one of a backend's endpoints is chosen."},
                  x.picker);
    visitor.field(
        {.key = "unready",
         .doc = "The share of a variant without a ready endpoint goes to ready siblings and waits "
                "when there are none, or waits for its own, or is answered 503 at once."},
        x.unready);
    visitor.field({.key = "retry",
                   .doc = "Another attempt after one that failed before anything of its answer was "
                          "relayed."},
                  x.retry);
    visitor.field({.key = "heartbeat", .doc = "What a stream is told while it waits."},
                  x.heartbeat);
    visitor.field({.key = "fallback",
                   .doc = "Where a request goes, in this order, when its own backend could not "
                          "answer it and nothing was relayed: at most 5 targets, 6 attempts in "
                          "all. Targets without a ready endpoint are passed over.",
                   .max = 5},
                  x.fallback);
    visitor.field({.key = "overflow",
                   .doc = "When a request goes to a fallback instead of waiting in the queue."},
                  x.overflow);
    visitor.field(
        {.key = "hedge",
         .doc = "A second attempt at another endpoint for a request that is late with its "
                "first token; the first to have one answers. Absent = none."},
        x.hedge);
    visitor.field(
        {.key = "mirror",
         .doc = "Copies of requests to another backend, whose answers nobody sees; absent "
                "= none."},
        x.mirror);
    visitor.field({.key = "owned_by", .doc = "Shown by `/v1/models`."}, x.owned_by);
}

template <class Visitor>
void describe(Visitor& visitor, Routes& x) {
    visitor.field({.key = "manifests",
                   .doc = "Files or patterns of HTTPRoute documents, relative to this document.",
                   .kind = Kind::glob},
                  x.manifests);
    visitor.field({.key = "on_model_conflict",
                   .doc = "When header and body name different known models: 400, or the header's "
                          "name is written into the body."},
                  x.on_model_conflict);
}

}  // namespace millrace::config

// Keys of rollouts: canaries that watch themselves. See config/describe.hpp.
// Thread-safety: pure functions.
#pragma once

#include "config/field.hpp"

namespace millrace::config {

template <class Visitor>
void describe(Visitor& visitor, ErrorMargin& x) {
    visitor.field({.key = "tolerated_permille",
                   .doc = "More errors than this, per thousand requests and compared with the "
                          "stable variant, roll the canary back once that is certain enough.",
                   .max = 999},
                  x.tolerated_permille);
    visitor.field({.key = "harm_permille",
                   .doc = "Fewer additional errors than this allow the next step once that is "
                          "certain enough; 10 = one point.",
                   .min = 1,
                   .max = 999},
                  x.harm_permille);
}

template <class Visitor>
void describe(Visitor& visitor, TimeMargin& x) {
    visitor.field({.key = "tolerated_percent",
                   .doc = "An excess over this rolls the canary back once that is certain enough.",
                   .max = 999},
                  x.tolerated_percent);
    visitor.field({.key = "harm_percent",
                   .doc = "An excess below this allows the next step once that is certain "
                          "enough; 0 = not watched.",
                   .max = 999},
                  x.harm_percent);
}

template <class Visitor>
void describe(Visitor& visitor, Rollout& x) {
    visitor.field({.key = "canary",
                   .doc = "Name of the variant that is rolled out; the other one is the stable "
                          "one, and stays when the canary is rolled back.",
                   .required = true},
                  x.canary);
    visitor.field({.key = "steps",
                   .doc = "The canary's share in percent, step by step: growing, and 100 at last. "
                          "Every step is an experiment of its own.",
                   .min = 2},
                  x.steps);
    visitor.field({.key = "min_requests",
                   .doc = "Requests of the canary before a step may end well.",
                   .max = 1'000'000'000},
                  x.min_requests);
    visitor.field({.key = "min_step_time",
                   .doc = "Time before a step may end well; at least as long as a long request.",
                   .max = kOneDay},
                  x.min_step_time);
    visitor.field({.key = "max_step_time",
                   .doc = "A step without a verdict for this time is reported; it keeps its share "
                          "and goes on.",
                   .min = 1,
                   .max = kOneDay},
                  x.max_step_time);
    visitor.field({.key = "wrong_rollback_percent",
                   .doc = "Largest probability that a canary within what is tolerated is rolled "
                          "back, over the whole rollout.",
                   .min = 1,
                   .max = 50},
                  x.wrong_rollback_percent);
    visitor.field({.key = "missed_harm_percent",
                   .doc = "Largest probability that a canary that does harm passes a step.",
                   .min = 1,
                   .max = 50},
                  x.missed_harm_percent);
    visitor.field({.key = "errors",
                   .doc = "Attempts that fail by the backend's fault; always watched. Clients that "
                          "leave and answers 4xx do not count."},
                  x.errors);
    visitor.field({.key = "first_token",
                   .doc = "Time from the endpoint that was found to the first token of a stream, "
                          "scaled by the length of the prompt."},
                  x.first_token);
    visitor.field({.key = "token_gap", .doc = "Mean time between the tokens of a stream."},
                  x.token_gap);
    visitor.field({.key = "cost",
                   .doc = "Cost per token. An attempt that ended well costs `cost_per_hour` / 3600 "
                          "times its seconds at the endpoint, from dispatch to end, divided by the "
                          "slots that the endpoint has then, learned or configured: that share of "
                          "the machine was its. Per token that is divided by its prompt and "
                          "completion tokens, where they were counted and not estimated. Needs "
                          "`cost_per_hour` of the backends of both variants."},
                  x.cost);
}

template <class Visitor>
void describe(Visitor& visitor, Rollouts& x) {
    visitor.field({.key = "state_directory",
                   .doc = "Folder of this process alone, where each rollout keeps its state over "
                          "restarts, one file per model; it is made if it is missing. Empty = in "
                          "memory only: a restart begins every rollout anew, at its first step.",
                   .kind = Kind::folder},
                  x.state_directory);
}

}  // namespace millrace::config

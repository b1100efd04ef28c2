// The hands on a rollout: what a person may order, and the sentence they read.
#include <algorithm>

#include "routing/rollout.hpp"
#include "routing/rollout_text.hpp"

namespace millrace::routing {
namespace {

using Phase = RolloutPhase;

bool allowed(RolloutCommand command, Phase phase) {
    switch (command) {
        case RolloutCommand::start:
            return phase == Phase::waiting || phase == Phase::rolled_back ||
                   phase == Phase::aborted;
        case RolloutCommand::pause: return phase == Phase::running;
        case RolloutCommand::resume: return phase == Phase::paused;
        case RolloutCommand::promote: return phase != Phase::promoted;
        case RolloutCommand::abort: return phase != Phase::aborted && phase != Phase::rolled_back;
    }
    return false;
}

}  // namespace

std::optional<RolloutCommand> rollout_command(std::string_view word) {
    using enum RolloutCommand;
    for (const auto command : {start, pause, resume, promote, abort}) {
        if (word == to_string(command)) {
            return command;
        }
    }
    return std::nullopt;
}

std::expected<void, std::string> Rollout::command(RolloutCommand command) {
    if (!allowed(command, phase())) {
        return std::unexpected("cannot " + std::string(to_string(command)) + " a rollout that is " +
                               std::string(to_string(phase())));
    }
    switch (command) {
        case RolloutCommand::start:
            state_.stable_requests = 0;
            state_.canary_requests = 0;
            enter(Phase::running, policy_.steps.front(), {});
            break;
        case RolloutCommand::pause: enter(Phase::paused, weight(), "by hand"); break;
        case RolloutCommand::resume: enter(Phase::running, weight(), {}); break;
        case RolloutCommand::promote: enter(Phase::promoted, 100, "by hand"); break;
        case RolloutCommand::abort: enter(Phase::aborted, 0, "by hand"); break;
    }
    return {};
}

std::string Rollout::explain() const {
    std::string who = "canary " + names_.canary + " of model " + names_.model;
    switch (phase()) {
        case Phase::waiting:
            return who + " waits to be started; " + names_.stable + " gets everything";
        case Phase::running:
        case Phase::paused: return who + ' ' + explain_watch();
        case Phase::promoted: return who + " is promoted: " + state_.reason;
        case Phase::rolled_back: return who + " is rolled back: " + state_.reason;
        case Phase::aborted: return who + " is aborted: " + state_.reason;
    }
    return who;
}

std::string Rollout::explain_watch() const {
    std::string text = "gets " + std::to_string(weight()) + " % (step " +
                       std::to_string(step() + 1) + " of " + std::to_string(policy_.steps.size()) +
                       ", " + describe(state_.in_step) + ')';
    if (phase() == Phase::paused) {
        text += ", paused " + state_.reason;
    } else if (overdue()) {
        text += ", held: too little evidence for longer than " + describe(policy_.max_step_time);
    }
    char separator = ':';
    for (const auto& known : comparisons()) {
        if (known.required) {
            text += std::string(1, separator) + ' ' + describe(known) +
                    (known.fine ? " is short of harm" : " is undecided");
            separator = ';';
        }
    }
    return text;
}

}  // namespace millrace::routing

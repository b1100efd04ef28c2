#include "routing/slot_learner.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace millrace::routing {

void TtftFloor::add(Instant now, Duration value) {
    entries_[count_ % entries_.size()] = {now, value};
    ++count_;
}

void TtftFloor::restart(Instant now, Duration value) {
    count_ = 0;
    add(now, value);
}

std::optional<Duration> TtftFloor::value(Instant now) const {
    std::vector<Duration> values;
    values.reserve(entries_.size());
    for (std::size_t i = 0; i < std::min(count_, entries_.size()); ++i) {
        if (now - entries_[i].at < kMemory) {
            values.push_back(entries_[i].value);
        }
    }
    if (values.empty()) {
        return std::nullopt;
    }
    const auto quartile = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 4);
    std::ranges::nth_element(values, quartile);
    return *quartile;
}

std::optional<SlotCause> SlotLearner::overload(const SlotEvidence& evidence) const {
    if (evidence.waiting.value_or(0) > 0) {
        return SlotCause::backend_queues;
    }
    if (evidence.ttft) {
        const auto floor = floor_.value(evidence.now);
        if (floor && *evidence.ttft > *floor * 3 / 2) {
            return SlotCause::slow_first_token;
        }
    }
    if (evidence.inter_token_target && evidence.inter_token &&
        *evidence.inter_token > *evidence.inter_token_target) {
        return SlotCause::slow_tokens;
    }
    return std::nullopt;
}

SlotCause SlotLearner::cut(SlotCause cause, const SlotEvidence& evidence) {
    step_ = 0;
    if (evidence.peak > limit_) {
        return SlotCause::settling;
    }
    if (cause != SlotCause::slow_first_token || !evidence.ttft) {
        slow_since_ = 0;
    } else {
        slow_since_ = slow_since_ == 0 ? std::max(evidence.peak, kMinSlots) : slow_since_;
        if (limit_ <= slow_since_ / 2 || limit_ == kMinSlots) {
            slow_since_ = 0;
            floor_.restart(evidence.now, *evidence.ttft);
            return SlotCause::floor_relearned;
        }
    }
    limit_ = std::max(kMinSlots, limit_ * 9 / 10);
    return cause;
}

SlotCause SlotLearner::decide(const SlotEvidence& evidence) {
    if (const auto cause = overload(evidence)) {
        return cut(*cause, evidence);
    }
    if (evidence.ttft) {
        slow_since_ = 0;
    }
    const bool known = (evidence.waiting || evidence.ttft) &&
                       (!evidence.inter_token_target || evidence.inter_token);
    if (!known) {
        return SlotCause::no_evidence;
    }
    if (std::uint64_t{evidence.peak} * 5 < std::uint64_t{limit_} * 4) {
        return SlotCause::not_reached;
    }
    const auto root = static_cast<std::uint32_t>(std::sqrt(static_cast<double>(limit_)));
    step_ = std::min(step_ + 1, root);
    limit_ = std::min(kMaxSlots, limit_ + step_);
    return SlotCause::grown;
}

SlotChange SlotLearner::tick(const SlotEvidence& evidence) {
    const auto from = limit_;
    const auto cause = decide(evidence);
    // A first token that had to wait in the backend says nothing about the floor.
    if (evidence.ttft && evidence.waiting.value_or(0) == 0) {
        floor_.add(evidence.now, *evidence.ttft);
    }
    return {.from = from, .to = limit_, .cause = cause};
}

}  // namespace millrace::routing

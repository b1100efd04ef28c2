#include "routing/choice.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "config/base/assert.hpp"
#include "routing/affinity.hpp"
#include "routing/load_aware.hpp"

namespace millrace::routing {
namespace {

/// One run through a policy's stages.
class Decision {
public:
    Decision(std::span<const Candidate> candidates, const PickRequest& request, double guard,
             bool avoided_too, Random& random)
        : candidates_(candidates),
          request_(request),
          guard_(candidates, guard),
          avoided_too_(avoided_too),
          random_(random) {}

    /// The choice, unless the stage leaves it to the next one.
    std::optional<Choice> consult(Stage stage) {
        switch (stage) {
            case Stage::lora_affinity: keep_holders(); return std::nullopt;
            case Stage::session_affinity: return by_session();
            case Stage::prefix_affinity: return by_prefix();
            case Stage::load_aware: return by_ttft();
            case Stage::least_pending: break;
        }
        return by_load();
    }

    Choice by_load() {
        return by_balance(Reason::least_pending, cheapest(adapter_counts(), relative_load).index);
    }

private:
    struct Found {
        std::uint32_t index = 0;
        bool favourite = false;  ///< none that is full or above the guard would have been cheaper
    };

    bool in_play(const Candidate& candidate) const {
        return (avoided_too_ || !candidate.avoid) && (!holders_only_ || candidate.has_adapter);
    }
    bool open(const Candidate& candidate, bool guarded) const {
        return in_play(candidate) && has_room(candidate) && (!guarded || guard_.admits(candidate));
    }

    /// One of the cheapest of the open ones, drawn uniformly.
    template <class Cost>
    Found cheapest(bool guarded, Cost cost) {
        Found found;
        double best = std::numeric_limits<double>::infinity();
        double wanted = best;
        std::uint32_t equals = 0;
        for (std::uint32_t i = 0; i < candidates_.size(); ++i) {
            const auto& candidate = candidates_[i];
            if (!in_play(candidate)) {
                continue;
            }
            const double value = cost(candidate);
            wanted = std::min(wanted, value);
            if (value > best || !open(candidate, guarded)) {
                continue;
            }
            equals = value < best ? 1 : equals + 1;
            best = value;
            if (equals == 1 || random_.below(equals) == 0) {
                found.index = i;
            }
        }
        MILLRACE_ASSERT(equals > 0);
        found.favourite = best <= wanted;
        return found;
    }

    auto ttft() const {
        return [tokens = request_.prompt_tokens, pool = pool_speed(candidates_)](
                   const Candidate& candidate) { return predicted_ttft(candidate, tokens, pool); };
    }

    auto placement() const {
        return [tokens = request_.prompt_tokens, pool = pool_speed(candidates_)](
                   const Candidate& candidate) { return placement_cost(candidate, tokens, pool); };
    }

    void keep_holders() {
        if (!request_.wants_adapter || holders_only_) {
            return;
        }
        bool held = false;
        bool admitted = false;
        for (const auto& candidate : candidates_) {
            held |= candidate.has_adapter && in_play(candidate);
            admitted |= candidate.has_adapter && open(candidate, true);
        }
        holders_only_ = admitted;
        overflowed_ = held && !admitted;
    }

    std::optional<Choice> by_session() {
        if (!request_.session_key) {
            return std::nullopt;
        }
        const auto found = cheapest(true, [key = *request_.session_key](const Candidate& c) {
            return -session_affinity(key, c.identity);
        });
        return Choice{found.index,
                      found.favourite ? Reason::session_affinity : Reason::guard_overflow};
    }

    std::optional<Choice> by_prefix() {
        if (std::ranges::none_of(candidates_, [&](const Candidate& candidate) {
                return candidate.matched_tokens > 0 && in_play(candidate);
            })) {
            return std::nullopt;
        }
        const auto found = cheapest(true, placement());
        if (!found.favourite) {
            return Choice{found.index, Reason::guard_overflow};
        }
        if (candidates_[found.index].matched_tokens > 0) {
            return Choice{found.index, Reason::prefix_affinity};
        }
        return by_balance(Reason::load_aware, found.index);
    }

    Choice by_ttft() {
        return by_balance(Reason::load_aware, cheapest(adapter_counts(), ttft()).index);
    }

    /// Affinity to the adapter narrowed or lost the choice, so the guard holds for what decides it.
    bool adapter_counts() const { return holders_only_ || overflowed_; }

    /// What an affinity to the adapter left to be decided by balance is still its doing.
    Choice by_balance(Reason reason, std::uint32_t index) const {
        if (overflowed_) {
            return {index, Reason::guard_overflow};
        }
        return {index, holders_only_ ? Reason::lora_affinity : reason};
    }

    std::span<const Candidate> candidates_;
    const PickRequest& request_;
    LoadGuard guard_;
    bool avoided_too_;
    bool holders_only_ = false;
    bool overflowed_ = false;  ///< adapter holders exist, and none may be chosen
    Random& random_;
};

}  // namespace

std::string_view to_string(Reason reason) {
    constexpr std::array<std::string_view, 7> kNames = {
        "only_one",         "least_pending", "load_aware",    "prefix_affinity",
        "session_affinity", "lora_affinity", "guard_overflow"};
    return kNames[static_cast<std::size_t>(reason)];
}

std::string_view sentence_of(Reason reason) {
    constexpr std::array<std::string_view, 7> kSentences = {
        "no other has room",
        "the fewest requests in flight of those looked at",
        "the shortest predicted time to the first token",
        "the prompt costs least there, thanks to its prefix cache",
        "the session belongs to it",
        "the best of those that hold the adapter",
        "affinity wanted another, which is full or above its share of the load"};
    return kSentences[static_cast<std::size_t>(reason)];
}

std::optional<Choice> choose(std::span<const Candidate> candidates, const PickRequest& request,
                             const Policy& policy, Random& random) {
    std::uint32_t open = 0;
    std::uint32_t open_avoided = 0;
    std::uint32_t last = 0;
    for (std::uint32_t i = 0; i < candidates.size(); ++i) {
        if (!has_room(candidates[i])) {
            continue;
        }
        ++(candidates[i].avoid ? open_avoided : open);
        if (!candidates[i].avoid || open == 0) {
            last = i;
        }
    }
    const bool avoided_too = open == 0;
    const auto choices = avoided_too ? open_avoided : open;
    if (choices == 0) {
        return std::nullopt;
    }
    if (choices == 1) {
        return Choice{last, Reason::only_one};
    }
    Decision decision(candidates, request, policy.guard, avoided_too, random);
    for (const auto stage : policy.stages) {
        if (const auto choice = decision.consult(stage)) {
            return choice;
        }
    }
    return decision.by_load();
}

}  // namespace millrace::routing

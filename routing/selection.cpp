#include "routing/selection.hpp"

#include <algorithm>
#include <boost/container/small_vector.hpp>
#include <cmath>
#include <string>

#include "routing/canary.hpp"
#include "routing/choice.hpp"
#include "routing/load_aware.hpp"
#include "routing/pickers.hpp"

namespace millrace::routing {
namespace {

/// More endpoints than that are looked at with an allocation.
constexpr std::size_t kInline = 16;
/// Another thread may take the last slot between the look and the lease.
constexpr int kTries = 4;

template <class T>
using Few = boost::container::small_vector<T, kInline>;
using Endpoint = std::shared_ptr<EndpointState>;

Candidate candidate_of(const EndpointState& endpoint, const Selection& selection) {
    const auto advice = endpoint.load.advice();
    const auto speed = endpoint.load.speed();
    const auto limit = endpoint.limit();
    Candidate candidate;
    candidate.identity = stable_hash(endpoint.url);
    candidate.in_flight = endpoint.in_flight.load(std::memory_order_relaxed);
    candidate.slots = limit == kUnlimitedSlots ? 0 : limit;
    candidate.queued_prompt_tokens =
        endpoint.load.queued_prompt_tokens.load(std::memory_order_relaxed);
    candidate.waiting = advice.waiting;
    candidate.running = advice.running;
    candidate.kv_usage = advice.kv_usage;
    candidate.prefill_rate = speed.prefill_rate();
    candidate.service = speed.service;
    candidate.has_adapter = endpoint.load.has_adapter(selection.adapter);
    return candidate;
}

/// Endpoints that a policy may look at, and what it sees of them.
class Field {
public:
    Field(const EndpointSet& set, const Selection& selection) : selection_(selection) {
        for (const auto& endpoint : set.endpoints) {
            if (endpoint->ready() && !selection.avoid.contains(endpoint.get())) {
                endpoints_.push_back(&endpoint);
            }
        }
        if (endpoints_.empty()) {
            for (const auto& endpoint : set.endpoints) {
                if (endpoint->ready()) {
                    endpoints_.push_back(&endpoint);
                }
            }
        }
        match();
    }

    std::span<const Candidate> look() {
        candidates_.clear();
        for (std::size_t i = 0; i < endpoints_.size(); ++i) {
            candidates_.push_back(candidate_of(**endpoints_[i], selection_));
            candidates_.back().matched_tokens = matched_[i] * selection_.tokens_per_block;
        }
        return candidates_;
    }
    const Endpoint& endpoint(std::size_t index) const { return *endpoints_[index]; }

private:
    void match() {
        matched_.resize(endpoints_.size());
        if (selection_.prefixes == nullptr || selection_.blocks.empty()) {
            return;
        }
        Few<std::uint64_t> generations;
        for (const auto* endpoint : endpoints_) {
            generations.push_back((*endpoint)->generation);
        }
        selection_.prefixes->match(selection_.blocks, generations, matched_);
    }

    const Selection& selection_;
    Few<const Endpoint*> endpoints_;
    Few<std::uint32_t> matched_;
    Few<Candidate> candidates_;
};

std::string milliseconds(double seconds) {
    return std::to_string(std::lround(seconds * 1000)) + " ms";
}

void explain(const Field& field, std::span<const Candidate> candidates, const Selection& selection,
             Trace& trace) {
    const auto pool = pool_speed(candidates);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const auto& candidate = candidates[i];
        trace.add({"Endpoint ", field.endpoint(i)->url, ": about ",
                   milliseconds(predicted_ttft(candidate, selection.request.prompt_tokens, pool)),
                   " to the first token; ", std::to_string(candidate.queued_prompt_tokens),
                   " prompt tokens queued, ", std::to_string(candidate.matched_tokens), " of ",
                   std::to_string(selection.request.prompt_tokens), " cached",
                   candidate.has_adapter ? ", holds the adapter" : "", "."});
    }
}

Selected take(const Endpoint& endpoint, const Candidate& seen, const Selection& selection,
              Reason reason) {
    Selected selected{EndpointLease::try_take(endpoint), reason, 0};
    if (selected) {
        const auto tokens = selection.request.prompt_tokens;
        const auto uncached = tokens - std::min(seen.matched_tokens, tokens);
        selected.work = uncached + seen.queued_prompt_tokens;
        selected.lease.expect(uncached);
    }
    return selected;
}

}  // namespace

Selected select(const EndpointSet& set, const Selection& selection, Random& random, Trace* trace) {
    if (selection.policy == nullptr) {
        const auto reason = set.endpoints.size() == 1 ? Reason::only_one : Reason::least_pending;
        return {pick(set, random, selection.avoid), reason, 0};
    }
    Field field(set, selection);
    for (int i = 0; i < kTries; ++i) {
        const auto candidates = field.look();
        if (trace != nullptr && i == 0) {
            explain(field, candidates, selection, *trace);
        }
        const auto choice = choose(candidates, selection.request, *selection.policy, random);
        if (!choice) {
            return {};
        }
        if (auto selected = take(field.endpoint(choice->index), candidates[choice->index],
                                 selection, choice->reason)) {
            return selected;
        }
    }
    return {pick(set, random, selection.avoid), Reason::least_pending, 0};
}

void note_dispatch(const Pool& pool, const Selection& selection, const EndpointLease& lease) {
    lease.shared()->load.loaded(selection.adapter);
    if (!selection.blocks.empty()) {
        pool.prefixes().record(selection.blocks, lease->generation);
    }
}

}  // namespace millrace::routing

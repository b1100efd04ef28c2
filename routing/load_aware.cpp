#include "routing/load_aware.hpp"

#include <algorithm>

namespace millrace::routing {
namespace {

constexpr double kKeep = 15.0 / 16;    // weight of the past at each observation
constexpr double kPriorTokens = 2000;  // the prior weighs as much as one prompt of that size
// No observation says more than this; beyond are misjudged cache hits and cold starts.
constexpr double kFastest = 1e6;  // tokens/s
constexpr double kSlowest = 100;  // tokens/s
constexpr double kTrust = 4;
constexpr double kTokensPerStream = 16;
constexpr double kPressureFrom = 0.8;
constexpr double kMostRequests = 1e6;

/// A scraped number that arithmetic can stand: absent, negative and NaN are 0.
double sane(const std::optional<double>& value, double most) {
    return value && *value > 0 ? std::min(*value, most) : 0;
}

double believed(double learned, double average) {
    return learned > 0 ? std::clamp(learned, average / kTrust, average * kTrust) : average;
}

}  // namespace

EndpointSpeed after_first_token(EndpointSpeed speed, std::uint64_t tokens, Duration ttft) {
    if (tokens == 0) {
        return speed;
    }
    if (speed.seconds <= 0) {
        speed.tokens = kPriorTokens;
        speed.seconds = kPriorTokens / kPriorPrefillRate;
    }
    const auto work = static_cast<double>(tokens);
    speed.tokens = speed.tokens * kKeep + work;
    speed.seconds =
        speed.seconds * kKeep + std::clamp(seconds(ttft), work / kFastest, work / kSlowest);
    return speed;
}

EndpointSpeed after_request(EndpointSpeed speed, Duration took) {
    const double observed = std::max(seconds(took), 1e-3);
    speed.service = speed.service > 0 ? speed.service * kKeep + observed * (1 - kKeep) : observed;
    return speed;
}

PoolSpeed pool_speed(std::span<const Candidate> candidates) {
    double rates = 0;
    double services = 0;
    double with_rate = 0;
    double with_service = 0;
    for (const auto& candidate : candidates) {
        rates += candidate.prefill_rate;
        with_rate += candidate.prefill_rate > 0 ? 1 : 0;
        services += candidate.service;
        with_service += candidate.service > 0 ? 1 : 0;
    }
    PoolSpeed speed;
    if (with_rate > 0) {
        speed.prefill_rate = rates / with_rate;
    }
    if (with_service > 0) {
        speed.service = services / with_service;
    }
    return speed;
}

double predicted_ttft(const Candidate& candidate, std::uint32_t prompt_tokens,
                      const PoolSpeed& pool) {
    const double rate = believed(candidate.prefill_rate, pool.prefill_rate);
    const double service = believed(candidate.service, pool.service);
    const auto in_flight = static_cast<double>(candidate.in_flight);
    const double running = candidate.running ? sane(candidate.running, kMostRequests) : in_flight;
    const double between_ends = service / std::max(running, 1.0);

    const double wait = std::max(static_cast<double>(candidate.queued_prompt_tokens) / rate,
                                 sane(candidate.waiting, kMostRequests) * between_ends);
    const auto uncached = prompt_tokens - std::min(candidate.matched_tokens, prompt_tokens);
    const double prefill = (static_cast<double>(uncached) + in_flight * kTokensPerStream) / rate;
    const double pressure =
        std::max(sane(candidate.kv_usage, 1) - kPressureFrom, 0.0) / (1 - kPressureFrom);
    return (wait + prefill + pressure * between_ends) / admission_share(candidate);
}

double placement_cost(const Candidate& candidate, std::uint32_t prompt_tokens,
                      const PoolSpeed& pool) {
    const auto uncached = prompt_tokens - std::min(candidate.matched_tokens, prompt_tokens);
    return predicted_ttft(candidate, prompt_tokens, pool) +
           kSharedCost * static_cast<double>(uncached) / pool.prefill_rate;
}

}  // namespace millrace::routing

#include "bench/rollout/simulation.hpp"

#include <algorithm>
#include <cmath>

#include "bench/rollout/chance.hpp"
#include "config/base/assert.hpp"

namespace millrace::bench {
namespace {

using namespace std::chrono_literals;
using routing::ArmTotals;
using routing::Moments;
using routing::Rollout;
using routing::RolloutAction;
using routing::RolloutPhase;

constexpr double kStableErrors = 0.01;
constexpr int kMostTicks = 20'000;

/// Values of stable requests, drawn once; any stretch of them is summed by two subtractions,
/// because the stable arm is 99 times the canary's.
class StableValues {
public:
    template <class Draw>
    StableValues(std::uint64_t seed, Draw draw) {
        Random random(seed);
        sums_.resize(kSize + 1);
        for (std::size_t i = 0; i < kSize; ++i) {
            sums_[i + 1] = sums_[i];
            sums_[i + 1].add(draw(random));
        }
    }
    Moments sample(Random& random, std::uint64_t n) const {
        const auto from = random.below(static_cast<std::uint32_t>(kSize - n));
        return sums_[from + n].since(sums_[from]);
    }

private:
    static constexpr std::size_t kSize = 1U << 18U;
    std::vector<Moments> sums_;
};

/// Short, middling and long prompts; a fixed part and a prefill of 8000 tokens/s, times noise of
/// sigma 0.6. What the scaling by prompt leaves over adds to the spread.
double draw_first_token(Random& random) {
    const double kind = uniform(random);
    const std::uint64_t prompt = kind < 0.6 ? 200 : kind < 0.9 ? 2000 : 12'000;
    const double time =
        (0.05 + static_cast<double>(prompt) / 8000) * std::exp(0.6 * normal(random));
    return routing::first_token_value(Duration(std::llround(time * 1e9)), prompt);
}

double draw_gap(Random& random) {
    return std::log(0.02) + 0.4 * normal(random);
}

void serve(Random& random, const Canary& kind, std::uint32_t weight, ArmTotals& stable,
           ArmTotals& canary) {
    static const StableValues kFirstTokens(7, draw_first_token);
    static const StableValues kGaps(8, draw_gap);
    const auto others = kTick * (100 - weight) / weight;
    stable += {others,
               binomial(random, others, kStableErrors),
               kFirstTokens.sample(random, others),
               kGaps.sample(random, others),
               {}};
    canary.requests += kTick;
    canary.errors += binomial(random, kTick, kStableErrors + kind.more_errors);
    for (std::uint64_t i = 0; i < kTick; ++i) {
        canary.first_token.add(draw_first_token(random) + std::log(kind.slower));
        canary.token_gap.add(draw_gap(random));
    }
}

Rollout run(const Canary& kind, const routing::RolloutPolicy& policy, std::uint64_t seed,
            bool& stepped) {
    Random random(seed);
    Rollout rollout(policy, {"chat", "v1", "v2", ""});
    ArmTotals stable;
    ArmTotals canary;
    Instant now{};
    rollout.advance(stable, canary, now);
    const auto started = rollout.command(routing::RolloutCommand::start);
    MILLRACE_ASSERT(started.has_value());
    for (int tick = 0; tick < kMostTicks && rollout.phase() == RolloutPhase::running; ++tick) {
        serve(random, kind, rollout.weight(), stable, canary);
        const auto action = rollout.advance(stable, canary, now += 10s);
        stepped = stepped || action.kind == RolloutAction::Kind::stepped;
    }
    return rollout;
}

}  // namespace

double quantile(std::vector<double> values, double q) {
    std::ranges::sort(values);
    return values.at(static_cast<std::size_t>(q * static_cast<double>(values.size() - 1)));
}

RolloutResults simulate(const Canary& kind, std::uint64_t first_seed, int runs) {
    routing::RolloutPolicy policy;
    policy.min_step_time = 0s;
    RolloutResults results;
    results.runs = runs;
    for (int i = 0; i < runs; ++i) {
        bool stepped = false;
        const auto rollout = run(kind, policy, first_seed + static_cast<std::uint64_t>(i), stepped);
        results.past_first_step += stepped ? 1 : 0;
        results.promoted += rollout.phase() == RolloutPhase::promoted ? 1 : 0;
        results.rolled_back += rollout.phase() == RolloutPhase::rolled_back ? 1 : 0;
        const auto& state = rollout.state();
        results.canary_requests.push_back(static_cast<double>(state.canary_requests));
        results.all_requests.push_back(
            static_cast<double>(state.canary_requests + state.stable_requests));
    }
    return results;
}

}  // namespace millrace::bench

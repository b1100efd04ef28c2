// Does a rollout keep its promises? Two hundred seeded rollouts of each kind of canary, printed as
// the Markdown of bench/results. Exit code 1 when a promise is broken: a count above the smallest
// one that chance stays below with 99 %.
#include <cstdio>

#include "bench/rollout/chance.hpp"
#include "bench/rollout/simulation.hpp"

namespace {

using namespace millrace;

constexpr int kRuns = 200;

struct Case {
    const char* name;
    bench::Canary canary;
    std::uint64_t seed;
    bool harmful;
};

constexpr Case kCases[] = {
    {"+20 % time to first token", {.more_errors = 0, .slower = 1.2}, 1000, true},
    {"+1 point of errors", {.more_errors = 0.01, .slower = 1}, 2000, true},
    {"+30 points of errors", {.more_errors = 0.3, .slower = 1}, 3000, true},
    {"twice the time to first token", {.more_errors = 0, .slower = 2}, 4000, true},
    {"identical", {}, 5000, false},
};

/// True when what was counted is within the bound.
bool print(const Case& what, const bench::RolloutResults& results) {
    const routing::RolloutPolicy policy;
    const int wrong = what.harmful ? results.past_first_step : results.rolled_back;
    const int bound = bench::binomial_bound(
        results.runs, what.harmful ? policy.missed_harm : policy.wrong_rollback);
    std::printf(
        "| %s | %d | %s | %d | %d | %.1f %% | %.0f / %.0f | %.0f / %.0f |\n", what.name, wrong,
        what.harmful ? "passed the first step" : "rolled back", bound,
        what.harmful ? results.runs - results.rolled_back
                     : results.runs - results.promoted - results.rolled_back,
        100.0 * results.promoted / results.runs, bench::quantile(results.canary_requests, 0.5),
        bench::quantile(results.canary_requests, 0.9), bench::quantile(results.all_requests, 0.5),
        bench::quantile(results.all_requests, 0.9));
    return wrong <= bound;
}

}  // namespace

int main() {
    std::printf(
        "# Rollouts that watch themselves, simulated\n\n"
        "%d seeded rollouts of each canary under the default policy (decision 0008), 1 %% stable "
        "errors, log-normal times,\n%d canary requests between two looks, minimum times off. Made "
        "by `rollout-bench`; the figures depend on the seeds only.\n\n"
        "*wrong* is what a promise limits to 5 %%: a harmful canary that passes the first step, a "
        "good one that is rolled back;\n*bound* is the most of that which chance allows (binomial, "
        "99 %%). *left over* are harmful canaries that were never rolled\nback, and good ones "
        "without a verdict. Exposure is in requests, until the verdict or the promotion.\n\n"
        "| canary | wrong | namely | bound | left over | promoted | canary requests, median / p90 "
        "| all requests, median / p90 |\n|---|--:|---|--:|--:|--:|--:|--:|\n",
        kRuns, static_cast<int>(bench::kTick));
    bool kept = true;
    for (const auto& what : kCases) {
        kept = print(what, bench::simulate(what.canary, what.seed, kRuns)) && kept;
    }
    return kept ? 0 : 1;
}

// A canary that watches itself: the rollout of one model from its stable variant to its canary.
//
// The canary's share grows by steps. Each step is an experiment of its own on fresh evidence,
// because load changes with the share: it ends with a step up once every measure has shown itself
// to be short of harm, or with a rollback once one is shown to be beyond what is tolerated
// (routing/sequential_test.hpp). Without evidence nothing happens, for however long. Promises:
//  - a canary within the tolerated margins (so also an identical one) is rolled back with
//    probability <= `wrong_rollback` over the whole rollout, all measures and steps together;
//  - a canary with a stated harm passes a step with probability <= `missed_harm`.
// Between the two either verdict may come. The share of the last step, 100 %, is not tested: there
// is nothing left to compare with. Thread-safety: none; one owner that calls advance() on a timer
// (1 to 10 s) and publishes weight().
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "routing/rollout_state.hpp"
#include "routing/sequential_test.hpp"

namespace millrace::routing {

/// What one arm did, as totals that only grow; several slots are summed with +=. One request to an
/// arm is one attempt, counted when it ends, even if a retry elsewhere hid its failure from the
/// client.
struct ArmTotals {
    /// Attempts that ended well or by the backend's fault. The caller leaves out client aborts and
    /// 4xx answers: they say nothing about the arm.
    std::uint64_t requests = 0;
    /// Those of `requests` that were the backend's fault: 5xx, connection failures and resets,
    /// truncated or malformed answers, error events in streams, timeouts.
    std::uint64_t errors = 0;
    Moments first_token;  ///< of first_token_value()
    Moments token_gap;    ///< of token_gap_value(), one per stream
    Moments cost;         ///< of cost_value(), one per attempt whose price is known

    ArmTotals& operator+=(const ArmTotals& other);
};

/// Logarithm of the time to first token, scaled to a prompt of 1000 tokens by the law
/// time ~ (prompt + 500): a fixed part and a prefill of about the same size at 500 tokens. Any
/// scale that looks only at the request is fair to both arms; this one narrows the spread.
double first_token_value(Duration first_token, std::uint64_t prompt_tokens);
/// Logarithm of a stream's mean gap between tokens, in seconds.
double token_gap_value(Duration mean_gap);
/// Logarithm of an attempt's cost per token, in dollars (routing/endpoint_cost). Requires
/// cost_per_token > 0.
double cost_value(double cost_per_token);

/// How much worse a canary may be. The error rate is in absolute terms (0.01 = one point), the
/// others relative (0.2 = 20 % more). A measure without a margin is not watched.
struct RolloutPolicy {
    std::vector<std::uint32_t> steps{1, 5, 20, 50, 100};  ///< percent, growing, the last is 100
    std::uint64_t min_requests = 100;                     ///< of the canary, per step
    /// At least the length of a long request: what ends early in a step is the short ones.
    Duration min_step_time = std::chrono::minutes(5);
    /// A step without verdict for this long is reported; it keeps its share and goes on watching.
    Duration max_step_time = std::chrono::hours(24);
    double wrong_rollback = 0.05;  ///< alpha, of the whole rollout
    double missed_harm = 0.05;     ///< beta, of a step
    Margin error_rate{0.002, 0.01};
    std::optional<Margin> first_token = Margin{0.05, 0.20};
    std::optional<Margin> token_gap = Margin{0.05, 0.20};
    std::optional<Margin> cost = Margin{0.05, 0.20};

    /// The margin as the policy states it.
    std::optional<Margin> margin(Measure measure) const;
};

/// What is wrong with a policy, as a sentence that names the value; nothing if it can be run.
std::optional<std::string> problem(const RolloutPolicy& policy);

/// Who is rolled out. Another `revision` (what the canary runs: backend, served name) is another
/// rollout.
struct RolloutNames {
    std::string model;
    std::string stable;
    std::string canary;
    std::string revision;
    std::string identity() const;
};

/// What an advance() did.
struct RolloutAction {
    enum class Kind : std::uint8_t { none, stepped, promoted, rolled_back, overdue };
    Kind kind = Kind::none;
    std::uint32_t weight = 0;  ///< the canary's share in percent from now on
    std::string reason;        ///< a sentence for the log, empty for none
};

/// What a person may order.
enum class RolloutCommand : std::uint8_t { start, pause, resume, promote, abort };
std::string_view to_string(RolloutCommand command);
std::optional<RolloutCommand> rollout_command(std::string_view word);

/// The evidence on one measure in the current step.
struct Comparison {
    Measure measure = Measure::error_rate;
    Margin margin;  ///< as the policy states it
    Arm stable;
    Arm canary;
    Evidence evidence;
    bool required = false;  ///< a step up needs it: an arm was measured (cost: both were)
    bool worse = false;     ///< beyond the tolerated margin
    bool fine = false;      ///< short of harm
};

class Rollout {
public:
    /// Requires !problem(policy).
    Rollout(RolloutPolicy policy, RolloutNames names);

    struct Restored;
    /// Takes up a rollout from its to_json(), also under a changed policy. If the text cannot be
    /// used, a waiting rollout and the reason.
    static Restored restore(RolloutPolicy policy, RolloutNames names, std::string_view text);

    /// Looks at what both arms did since the last call and acts. The first call, and one whose
    /// totals are smaller than before (a restarted counter), only takes note of them.
    RolloutAction advance(const ArmTotals& stable, const ArmTotals& canary, Instant now);

    /// Obeys, or says why not. `start` also begins again after a rollback or an abort.
    std::expected<void, std::string> command(RolloutCommand command);

    const RolloutNames& names() const { return names_; }
    RolloutPhase phase() const { return state_.phase; }
    /// The canary's share in percent; the stable variant has the rest.
    std::uint32_t weight() const { return state_.weight; }
    /// No verdict for longer than max_step_time.
    bool overdue() const;
    /// Watched measures and what is known of them, for metrics and the admin port.
    std::vector<Comparison> comparisons() const;
    /// One sentence: where the rollout stands and why.
    std::string explain() const;
    std::string to_json() const { return routing::to_json(state_, names_.identity()); }
    const RolloutState& state() const { return state_; }

private:
    struct Seen {
        ArmTotals stable;
        ArmTotals canary;
    };

    bool watching() const;
    void watch(const ArmTotals& stable, const ArmTotals& canary);
    Comparison compare(Measure measure, Margin margin) const;
    bool may_step(const std::vector<Comparison>& comparisons) const;
    RolloutAction step_up();
    RolloutAction roll_back(const Comparison& harm);
    void enter(RolloutPhase phase, std::uint32_t weight, std::string reason);
    std::size_t step() const;
    std::string explain_watch() const;

    RolloutPolicy policy_;
    RolloutNames names_;
    RolloutState state_;
    double worse_at_ = 0;  ///< threshold of Evidence::worse
    double fine_at_ = 0;   ///< threshold of Evidence::fine
    std::optional<Seen> seen_;
    std::optional<Instant> last_;
};

struct Rollout::Restored {
    Rollout rollout;
    std::string note;  ///< why it starts anew; empty if it was taken up
};

}  // namespace millrace::routing

// Is the canary worse than the stable variant? A comparison of two arms that run at the same time,
// which may be looked at as often as one likes: the error probabilities hold for all looks
// together.
//
// Two claims are tested, each by a likelihood ratio that, were the claim true, would hardly ever
// grow large: P(it ever reaches 1/p) <= p (Ville 1939). "The difference is at most `tolerated`" is
// refuted by a mixture of larger differences (mixture SPRT: Robbins 1970; Johari et al. 2017,
// "Always Valid Inference"), so that great harm is seen after a handful of requests. "The
// difference is at least `harm`" is refuted by `tolerated` (Wald 1945). Neither claim falls by
// silence.
//
// Arms are matched in time: within blocks of a few canary requests, the stable arm is weighted to
// the canary's requests. What moves both arms (load, an incident, the time of day) cancels, even
// if one of them was absent for a while. Rates use the binomial likelihood with the stable rate
// profiled out (Miettinen & Nurminen 1985); means use the normal limit with estimated variances,
// from kBurnIn observations on, because a late start is what makes that limit honest (Bibaut,
// Kallus & Lindon 2022, "Near-Optimal Non-Parametric Sequential Tests"). Observations of one arm
// are taken as independent. Thread-safety: plain values.
#pragma once

#include <cstdint>

namespace millrace::routing {

/// Observations of one quantity, small enough for a slot per worker: slots are summed. For a rate
/// every observation is 0 or 1.
struct Moments {
    std::uint64_t count = 0;
    double sum = 0;
    double sum_squares = 0;

    void add(double value) {
        ++count;
        sum += value;
        sum_squares += value * value;
    }
    Moments& operator+=(const Moments& other);
    /// What came after `earlier`, a previous value of the same growing totals.
    Moments since(const Moments& earlier) const;
    bool operator==(const Moments&) const = default;
};

/// One arm of a matched comparison. Canary: its observations as they are. Stable: weighted to the
/// times at which the canary was observed; `size` is how many plain observations are worth as much.
struct Arm {
    double size = 0;
    double mean = 0;
    double variance = 0;  ///< of one observation, within blocks; 0 if unknown
};

/// Matches two arms in time and sums up. Every field is data that may be stored and read back.
struct MatchedArms {
    /// A block ends when both arms have that many observations: enough to know a variance, few
    /// enough that little drifts within.
    static constexpr std::uint64_t kBlock = 8;
    /// Ticks after an arm's last observation from which on the other arm has no counterpart and is
    /// left out: what happens while the canary is away must not be held against it, or for it.
    static constexpr std::uint64_t kQuiet = 60;

    Moments open_stable;  ///< the block that has not ended
    Moments open_canary;
    std::uint64_t quiet_stable = 0;  ///< ticks since the arm's last observation
    std::uint64_t quiet_canary = 0;
    double canary_count = 0;
    double canary_sum = 0;
    double stable_sum = 0;      ///< sum over blocks of canary count x stable mean
    double stable_inverse = 0;  ///< sum over blocks of canary count^2 / stable count
    double canary_squares = 0;  ///< squared deviations from the block's mean
    double canary_freedom = 0;  ///< and their degrees of freedom
    double stable_squares = 0;
    double stable_freedom = 0;

    /// Adds what both arms observed in the same tick.
    void add(const Moments& stable, const Moments& canary);
    Arm stable() const;
    Arm canary() const;
    /// Finite and not negative: false for stored data that was tampered with.
    bool plausible() const;
    bool operator==(const MatchedArms&) const = default;

private:
    void close_block();
};

/// How much larger the canary's mean may be. 0 <= tolerated < harm, on the scale of the values: a
/// difference of rates, or of logarithms.
struct Margin {
    double tolerated = 0;
    double harm = 0;
};

/// Natural logarithms of the two likelihood ratios; 0 is no evidence. A claim is refuted with error
/// probability p once its value reaches ln(1/p).
struct Evidence {
    double worse = 0;  ///< against "at most `tolerated`"
    double fine = 0;   ///< against "at least `harm`"
};

/// Observations of each arm below which means are not compared.
inline constexpr double kBurnIn = 50;

/// Difference of two rates, in [0, 1). margin.harm < 1.
Evidence compare_rates(const MatchedArms& arms, Margin margin);
/// Difference of two means. `min_deviation` > 0 is a floor under the standard deviation of one
/// observation, for values that hardly vary.
Evidence compare_means(const MatchedArms& arms, Margin margin, double min_deviation);

}  // namespace millrace::routing

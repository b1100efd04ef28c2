// `auto` models: the candidate with the lowest cost, from what was measured of it, what its tokens
// cost, and how well it is.
//
//   cost = speed * first_token / slowest + price * price / dearest + health * error_rate
//
// where slowest and dearest are the largest among the candidates considered, so that the three
// parts are numbers between 0 and 1 and weights compare. Measurements fade within minutes: a
// candidate that nobody uses becomes unmeasured, and unmeasured ones get a small part of the
// requests, so that what was slow once is not avoided for ever. Candidates without a ready endpoint
// are considered only when no other is left. Thread-safety: ModelMeasure as its methods say;
// choose_model() is a function of its arguments.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"
#include "routing/trace.hpp"

namespace millrace::routing {

/// What is known of a model now.
struct ModelReading {
    Duration first_token{};    ///< arrival to first content token, waiting included
    double error_rate = 0;     ///< 0..1
    bool is_measured = false;  ///< enough of it is recent
};

/// Averages of one model, shared by all workers.
class ModelMeasure {
public:
    static constexpr Duration kFade = std::chrono::minutes(1);  ///< to 1/e
    /// What is assumed before anything is known, with the weight of kPriorWeight requests.
    static constexpr Duration kPriorFirstToken = std::chrono::seconds(1);
    static constexpr double kPriorWeight = 2;
    /// Fewer recent first tokens (faded ones count less) are no measurement.
    static constexpr double kMeasuredWeight = 1;

    /// Any thread; two relaxed increments.
    void first_token(Duration taken) noexcept;
    /// Any thread: how an attempt ended, as far as it is the backend's doing.
    void ended(bool failed) noexcept;
    /// The control thread, every second or so: folds what came since into the averages.
    void tick(Instant now);
    /// Any thread.
    ModelReading read() const noexcept;

private:
    std::atomic<std::uint64_t> micros_{0};  // since the last tick, as the next three
    std::atomic<std::uint32_t> tokens_{0};
    std::atomic<std::uint32_t> ended_{0};
    std::atomic<std::uint32_t> failed_{0};

    // The control thread's.
    std::optional<Instant> ticked_;
    double token_weight_ = 0;
    double token_seconds_ = 0;
    double end_weight_ = 0;
    double fail_weight_ = 0;

    std::atomic<std::int64_t> first_token_ns_{Duration(kPriorFirstToken).count()};
    std::atomic<double> error_rate_{0};
    std::atomic<bool> is_measured_{false};
};

/// Measures by model. Weak, like PoolDirectory: what was measured survives as long as one catalog
/// after the other lists the model as a candidate. Thread-safety: any thread.
class ModelMeasures {
public:
    std::shared_ptr<ModelMeasure> acquire(std::string_view model);
    /// All live ones; from one thread, every second or so.
    void tick(Instant now);

private:
    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<ModelMeasure>, std::less<>> measures_;
};

struct AutoCandidate {
    std::string_view model;
    double micro_usd = 0;  ///< estimated cost of the request in millionths of a dollar
    std::size_t ready_endpoints = 0;
    ModelReading reading;
};

/// Weights of the three parts, and the part of requests that explores.
struct AutoPolicy {
    double speed = 1;
    double price = 1;
    double health = 4;  ///< an error costs more than slowness: 25 % errors weigh like the slowest
    double explore = 0.02;
};

struct AutoChoice {
    std::size_t index = 0;
    bool explored = false;  ///< taken to be measured, not for its cost
};

/// Equal costs are decided at random. Requires at least one candidate. The sentences do not depend
/// on the randomness, but for the last.
AutoChoice choose_model(std::span<const AutoCandidate> candidates, const AutoPolicy& policy,
                        Random& random, Trace* trace = nullptr);

}  // namespace millrace::routing

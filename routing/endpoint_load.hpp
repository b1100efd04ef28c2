// What is known of one endpoint's work beside its count of leases: exact sums of our own, what was
// learned from its answers, and what its metrics said. The last two are advice and may be absent.
// Thread-safety: everything from any thread, except advise() and expire(): the control thread.
// Updates that race with each other may be lost, which is one sample of many.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include "config/base/clock.hpp"
#include "routing/load_aware.hpp"
#include "routing/ttft_sketch.hpp"

namespace millrace::routing {

/// Scraped figures, each empty when the engine does not report it or the report is old.
struct EngineAdvice {
    std::optional<double> waiting{};   ///< requests in the engine's queue
    std::optional<double> running{};   ///< requests in its batch
    std::optional<double> kv_usage{};  ///< 0..1
};

class EndpointLoad {
public:
    EndpointLoad();

    /// Prompt tokens of live leases that have no first token yet (EndpointLease::expect).
    std::atomic<std::uint32_t> queued_prompt_tokens{0};
    /// Times to first token, for the learned number of slots.
    TtftSketch first_tokens;

    /// The first token came `ttft` after dispatch, behind `work` prompt tokens.
    void observe_first_token(std::uint64_t work, Duration ttft) noexcept;
    /// A complete answer, `took` after dispatch.
    void observe_request(Duration took) noexcept;
    EndpointSpeed speed() const noexcept;

    /// What a scrape at `now` has found; `adapters` are stable_hash of their names.
    void advise(const EngineAdvice& advice, std::span<const std::uint64_t> adapters, Instant now);
    /// Forgets what was scraped longer than `max_age` ago.
    void expire(Instant now, Duration max_age);
    EngineAdvice advice() const noexcept;

    /// A request for that adapter was sent there.
    void loaded(std::uint64_t adapter) noexcept;
    /// It is among the last ones that were sent there or that the engine reports.
    bool has_adapter(std::uint64_t adapter) const noexcept;

private:
    static constexpr std::size_t kAdapters = 16;
    using Adapters = std::array<std::atomic<std::uint64_t>, kAdapters>;

    std::atomic<double> tokens_{0};
    std::atomic<double> seconds_{0};
    std::atomic<double> service_{0};

    std::atomic<double> waiting_;  // NaN = not known, as the next two
    std::atomic<double> running_;
    std::atomic<double> kv_usage_;
    Instant advised_{};  // the control thread's

    Adapters sent_{};
    std::atomic<std::uint32_t> next_sent_{0};
    Adapters reported_{};
};

}  // namespace millrace::routing

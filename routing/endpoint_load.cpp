#include "routing/endpoint_load.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace::routing {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
constexpr auto kRelaxed = std::memory_order_relaxed;

std::optional<double> known(const std::atomic<double>& value) noexcept {
    const double now = value.load(kRelaxed);
    return std::isnan(now) ? std::nullopt : std::optional(now);
}

}  // namespace

EndpointLoad::EndpointLoad() : waiting_(kUnknown), running_(kUnknown), kv_usage_(kUnknown) {}

EndpointSpeed EndpointLoad::speed() const noexcept {
    return {tokens_.load(kRelaxed), seconds_.load(kRelaxed), service_.load(kRelaxed)};
}

void EndpointLoad::observe_first_token(std::uint64_t work, Duration ttft) noexcept {
    const auto next = after_first_token(speed(), work, ttft);
    tokens_.store(next.tokens, kRelaxed);
    seconds_.store(next.seconds, kRelaxed);
}

void EndpointLoad::observe_request(Duration took) noexcept {
    service_.store(after_request(speed(), took).service, kRelaxed);
}

void EndpointLoad::advise(const EngineAdvice& advice, std::span<const std::uint64_t> adapters,
                          Instant now) {
    waiting_.store(advice.waiting.value_or(kUnknown), kRelaxed);
    running_.store(advice.running.value_or(kUnknown), kRelaxed);
    kv_usage_.store(advice.kv_usage.value_or(kUnknown), kRelaxed);
    for (std::size_t i = 0; i < kAdapters; ++i) {
        reported_[i].store(i < adapters.size() ? adapters[i] : 0, kRelaxed);
    }
    advised_ = now;
}

void EndpointLoad::expire(Instant now, Duration max_age) {
    if (now - advised_ > max_age) {
        advise({}, {}, advised_);
    }
}

EngineAdvice EndpointLoad::advice() const noexcept {
    return {known(waiting_), known(running_), known(kv_usage_)};
}

void EndpointLoad::loaded(std::uint64_t adapter) noexcept {
    if (adapter != 0 && !has_adapter(adapter)) {
        sent_[next_sent_.fetch_add(1, kRelaxed) % kAdapters].store(adapter, kRelaxed);
    }
}

bool EndpointLoad::has_adapter(std::uint64_t adapter) const noexcept {
    const auto is_it = [adapter](const auto& entry) { return entry.load(kRelaxed) == adapter; };
    return adapter != 0 &&
           (std::ranges::any_of(sent_, is_it) || std::ranges::any_of(reported_, is_it));
}

}  // namespace millrace::routing

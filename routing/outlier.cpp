#include "routing/outlier.hpp"

#include <algorithm>
#include <utility>

namespace millrace::routing {
namespace {

struct Severity {
    OutlierVerdict verdict;
    double size = 0;
};

bool worse(const Severity& a, const Severity& b) {
    return a.size != b.size ? a.size > b.size : a.verdict.index < b.verdict.index;
}

void judge_failures(std::span<const WindowStats> endpoints, const OutlierPolicy& policy,
                    std::vector<Severity>& found) {
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto attempts = endpoints[i].good + endpoints[i].bad;
        if (attempts > 0 && attempts >= policy.min_attempts &&
            endpoints[i].bad * 100 >= attempts * policy.failure_percent) {
            found.push_back(
                {{i, HealthCause::failure_percentage},
                 static_cast<double>(endpoints[i].bad) / static_cast<double>(attempts)});
        }
    }
}

void judge_latency(std::span<const WindowStats> endpoints, const OutlierPolicy& policy,
                   std::vector<Severity>& found) {
    std::vector<std::pair<double, std::size_t>> means;
    for (std::size_t i = 0; i < endpoints.size(); ++i) {
        const auto samples = endpoints[i].first_tokens;
        if (samples > 0 && samples >= policy.latency_min_samples) {
            means.emplace_back(
                static_cast<double>(endpoints[i].first_token_ns) / static_cast<double>(samples), i);
        }
    }
    if (means.size() < 2 || means.size() - 1 < policy.latency_min_siblings) {
        return;
    }
    std::ranges::sort(means);
    // The median of the others, of two middle ones the larger: the same for every suspect, as only
    // those above it can be.
    const auto middle = (means.size() - 1) / 2;
    const double siblings = std::max(1.0, means[middle].first);
    for (std::size_t rank = middle + 1; rank < means.size(); ++rank) {
        const double ratio = means[rank].first / siblings;
        if (ratio > policy.latency_factor) {
            found.push_back({{means[rank].second, HealthCause::slow_first_token}, ratio});
        }
    }
}

}  // namespace

AttemptEvidence evidence_of(int status) {
    if (status == 502 || status == 503 || status == 504) {
        return AttemptEvidence::bad;
    }
    return status >= 400 ? AttemptEvidence::none : AttemptEvidence::good;
}

AttemptEvidence evidence_of(Errc error, bool connection_reused) {
    switch (error) {
        case Errc::upstream_connect_failed:
        case Errc::upstream_connect_timeout:
        case Errc::upstream_bad_response:
        case Errc::upstream_truncated:
        case Errc::first_byte_timeout:
        case Errc::first_token_timeout:
        case Errc::idle_timeout: return AttemptEvidence::bad;
        case Errc::upstream_closed:
            return connection_reused ? AttemptEvidence::none : AttemptEvidence::bad;
        default:
            // The client's doing, ours, or (total_timeout) an answer that was merely long.
            return AttemptEvidence::none;
    }
}

std::size_t allowed_ejections(std::size_t endpoints, std::uint32_t percent) {
    return endpoints == 0 ? 0 : std::min(endpoints * percent / 100, endpoints - 1);
}

WindowStats& WindowStats::operator+=(const WindowStats& other) {
    good += other.good;
    bad += other.bad;
    first_tokens += other.first_tokens;
    first_token_ns += other.first_token_ns;
    return *this;
}

WindowStats WindowStats::operator-(const WindowStats& other) const {
    return {.good = good - other.good,
            .bad = bad - other.bad,
            .first_tokens = first_tokens - other.first_tokens,
            .first_token_ns = first_token_ns - other.first_token_ns};
}

void AttemptWindow::push(const WindowStats& totals, Instant now) {
    buckets_[next_] = {now, totals - seen_};
    next_ = (next_ + 1) % buckets_.size();
    seen_ = totals;
}

WindowStats AttemptWindow::stats(Instant now) const {
    WindowStats sum;
    for (const auto& bucket : buckets_) {
        if (now - bucket.at < kOutlierWindow) {
            sum += bucket.delta;
        }
    }
    return sum;
}

void AttemptWindow::clear(const WindowStats& totals) {
    buckets_ = {};
    seen_ = totals;
}

std::vector<OutlierVerdict> judge(std::span<const WindowStats> endpoints,
                                  const OutlierPolicy& policy) {
    std::vector<Severity> found;
    if (policy.failure_percent > 0) {
        judge_failures(endpoints, policy, found);
        std::ranges::sort(found, worse);
    }
    std::vector<Severity> slow;
    if (policy.latency_factor > 0) {
        judge_latency(endpoints, policy, slow);
        std::ranges::sort(slow, worse);
    }
    found.insert(found.end(), slow.begin(), slow.end());
    std::vector<OutlierVerdict> verdicts;
    verdicts.reserve(found.size());
    for (const auto& severity : found) {
        verdicts.push_back(severity.verdict);
    }
    return verdicts;
}

}  // namespace millrace::routing

#include "routing/breaker.hpp"

#include <algorithm>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

/// Uniform in [1 - share, 1 + share).
double jittered(double share, Random& random) {
    const double uniform = static_cast<double>(random() >> 11U) * 0x1.0p-53;
    return 1 + share * (2 * uniform - 1);
}

}  // namespace

void Breaker::eject(const BreakerPolicy& policy, Instant now, Random& random) {
    MILLRACE_ASSERT(state_ != Circuit::ejected);
    if (state_ == Circuit::closed) {
        in_a_row_ -= std::min(in_a_row_, std::max<std::int64_t>(0, (now - since_) / policy.base));
    }
    // A longer row than the cap can show would only take longer to forget.
    in_a_row_ = std::min(in_a_row_ + 1, policy.cap / policy.base + 1);
    const auto length = std::min(policy.base * in_a_row_, policy.cap);
    state_ = Circuit::ejected;
    since_ = now;
    until_ = now + std::chrono::duration_cast<Duration>(length * jittered(policy.jitter, random));
}

bool Breaker::expire(Instant now) {
    if (state_ != Circuit::ejected || now < until_) {
        return false;
    }
    state_ = Circuit::half_open;
    since_ = now;
    allowance_ = 1;
    return true;
}

bool Breaker::advance(const BreakerPolicy& policy, Instant now) {
    MILLRACE_ASSERT(state_ == Circuit::half_open);
    if (allowance_ >= policy.trusted_at - policy.trusted_at / 2) {  // doubled, it would be there
        close(now);
        return true;
    }
    allowance_ *= 2;
    return false;
}

void Breaker::close(Instant now) {
    state_ = Circuit::closed;
    since_ = now;
}

}  // namespace millrace::routing

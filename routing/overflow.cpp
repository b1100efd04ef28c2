#include "routing/overflow.hpp"

#include <algorithm>

namespace millrace::routing {
namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(500);

}  // namespace

bool overflows(const config::Overflow& policy, Duration waited, Duration predicted) {
    return policy.after > Duration(0) && waited + predicted > policy.after;
}

Instant next_judgement(const config::Overflow& policy, Instant began, Instant now) {
    if (policy.after <= Duration(0)) {
        return Instant::max();
    }
    const auto over = began + policy.after;  // from then on the wait itself is too long
    return now < over ? std::min(over, now + kBetweenLooks) : now + kBetweenLooks;
}

}  // namespace millrace::routing

#include "routing/affinity.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace millrace::routing {
namespace {

/// So many requests are no hot spot on any server, and an idle pool's fair share is less than one
/// conversation's parallel calls.
constexpr double kHarmless = 4;

}  // namespace

LoadGuard::LoadGuard(std::span<const Candidate> candidates, double factor) {
    double load = 1;
    double shares = 0;
    double least = std::numeric_limits<double>::infinity();
    double least_avoided = least;
    for (const auto& candidate : candidates) {
        load += static_cast<double>(candidate.in_flight);
        shares += admission_share(candidate);
        if (has_room(candidate)) {
            auto& smallest = candidate.avoid ? least_avoided : least;
            smallest = std::min(smallest, relative_load(candidate));
        }
    }
    load_per_share_ = std::max(factor, 1.0) * load / shares;
    least_load_ = std::isinf(least) ? least_avoided : least;
}

double LoadGuard::bound(const Candidate& candidate) const {
    // The subtraction keeps a product that is an integer on paper from being rounded up to the
    // next one.
    return std::max(std::ceil(load_per_share_ * admission_share(candidate) - 1e-9),
                    kHarmless * admission_share(candidate));
}

double session_affinity(std::uint64_t session_key, std::uint64_t identity) {
    // Both are finalised hashes; the constant keeps a key that equals an identity from being 0.
    std::uint64_t z = session_key ^ (identity + 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return static_cast<double>((z ^ (z >> 31U)) >> 11U) * 0x1.0p-53;
}

}  // namespace millrace::routing

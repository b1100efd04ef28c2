#include "routing/canary.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "config/base/assert.hpp"

namespace millrace::routing {
namespace {

/// Positions are multiplied in 64 bits, so the window must stay below 2^32. Only thousands of
/// variants of maximal weight reach that; their shares are then rounded.
constexpr std::uint64_t kMaxWindow = 0xffff'ffff;

std::uint64_t mix(std::uint64_t z) {
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
}

/// Largest partial quotient of the continued fraction a/b after the integer part, or 0 when they
/// share a factor. The smaller it is, the more evenly multiples of a spread modulo b.
std::uint64_t worst_quotient(std::uint64_t a, std::uint64_t b) {
    std::uint64_t worst = 1;
    std::uint64_t high = b;
    std::uint64_t low = a;
    while (low != 0) {
        worst = std::max(worst, high / low);
        high = std::exchange(low, high % low);
    }
    return high == 1 ? worst : 0;
}

/// A step coprime to the window, near window/phi, with small partial quotients.
std::uint64_t choose_step(std::uint64_t window) {
    constexpr std::uint64_t kSearch = 256;
    const auto golden =
        static_cast<std::uint64_t>(std::llround(static_cast<double>(window) * 0.6180339887498949));
    std::uint64_t best = 1;
    std::uint64_t best_quotient = kMaxWindow;
    for (std::uint64_t distance = 0; distance <= kSearch; ++distance) {
        for (const auto step : {golden + distance, golden - distance}) {
            if (step == 0 || step >= window) {  // also what wrapped around below zero
                continue;
            }
            if (const auto worst = worst_quotient(step, window);
                worst != 0 && worst < best_quotient) {
                best = step;
                best_quotient = worst;
            }
        }
    }
    return best;
}

}  // namespace

std::uint64_t stable_hash(std::string_view key) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, then a finaliser for the high bits
    for (const char c : key) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    return mix(hash + key.size());
}

WeightTable::WeightTable(std::span<const Share> shares) : only_(shares.size()) {
    std::uint64_t divisor = 0;
    std::uint64_t sum = 0;
    std::size_t positive = 0;
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < shares.size(); ++i) {
        divisor = std::gcd(divisor, std::uint64_t{shares[i].weight});
        sum += shares[i].weight;
        if (shares[i].weight > 0) {
            ++positive;
            only_ = i;
        }
        // The same variant twice: each needs keys of its own.
        const auto hash = stable_hash(shares[i].identity);
        const auto same = static_cast<std::uint64_t>(std::ranges::count(hashes, hash));
        hashes.push_back(hash);
        identities_.push_back(same == 0 ? hash : mix(hash + same));
    }
    only_ = positive == 1 ? only_ : shares.size();
    divisor = std::max<std::uint64_t>(1, divisor);
    while (sum / divisor > kMaxWindow) {
        divisor *= 2;
    }
    for (const auto& share : shares) {
        total_ += share.weight / divisor;
        ends_.push_back(total_);
    }
    if (size() <= kInline) {
        std::ranges::copy(ends_, inline_ends_.begin());
    }
    step_ = total_ > 2 ? choose_step(total_) : 1;
}

std::size_t WeightTable::pick(std::uint64_t ticket) const {
    MILLRACE_ASSERT(total_ > 0);
    const auto position = ticket % total_ * step_ % total_;
    const auto sums = ends();
    return static_cast<std::size_t>(std::ranges::upper_bound(sums, position) - sums.begin());
}

double WeightTable::affinity(std::size_t index, std::uint64_t key) const {
    const auto share = weight(index);
    if (share == 0) {
        return 0;
    }
    // A uniform number strictly between 0 and 1; weight / -ln(u) is largest with probability weight
    // / sum.
    const auto bits = mix(key ^ identities_[index]) >> 11U;
    const double uniform = (static_cast<double>(bits) + 0.5) * 0x1.0p-53;
    return static_cast<double>(share) / -std::log(uniform);
}

std::size_t WeightTable::pick_sticky(std::uint64_t key) const {
    MILLRACE_ASSERT(total_ > 0);
    std::size_t best = 0;
    double best_affinity = -1;
    for (std::size_t i = 0; i < size(); ++i) {
        if (const double drawn = affinity(i, key); drawn > best_affinity) {
            best = i;
            best_affinity = drawn;
        }
    }
    return best;
}

}  // namespace millrace::routing

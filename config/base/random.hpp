// Randomness is an argument: a small, fast, seedable generator (xoshiro256**, Blackman & Vigna
// 2018). Not for secrets (those come from OpenSSL's RAND_bytes). Thread-safety: none; one per
// worker.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

namespace millrace {

class Random {
public:
    using result_type = std::uint64_t;

    explicit Random(std::uint64_t seed) {
        // splitmix64 expands the seed, as the authors recommend.
        for (auto& word : state_) {
            seed += 0x9e3779b97f4a7c15ULL;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
            word = z ^ (z >> 31U);
        }
    }

    std::uint64_t operator()() {
        const std::uint64_t result = rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = rotl(state_[3], 45);
        return result;
    }

    /// Uniform in [0, bound); bound > 0. Lemire's multiply-shift; bias < 2^-32 for the bounds used
    /// here.
    std::uint32_t below(std::uint32_t bound) {
        return static_cast<std::uint32_t>(((*this)() >> 32U) * bound >> 32U);
    }

    static constexpr result_type min() { return 0; }
    static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }

private:
    static constexpr std::uint64_t rotl(std::uint64_t x, unsigned k) {
        return (x << k) | (x >> (64U - k));
    }
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace millrace

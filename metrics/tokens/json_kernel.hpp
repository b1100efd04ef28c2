// Bit masks over one block of 64 bytes: bit i tells about byte i. Two kernels with one interface,
// so that the scanner's loop is written once; included by json_scanner.cpp only. Thread-safety:
// pure functions. Units: bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#define MILLRACE_AVX2 __attribute__((target("avx2,pclmul,bmi")))
#endif

namespace millrace::metrics {

constexpr std::size_t kBlock = 64;

/// 64-bit words, for machines without AVX2.
struct PortableKernel {
    static std::uint64_t equal(const char* block, char byte) {
        constexpr std::uint64_t kLow = 0x7f7f7f7f7f7f7f7fULL;
        constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
        const std::uint64_t pattern = kOnes * static_cast<unsigned char>(byte);
        std::uint64_t mask = 0;
        for (std::size_t word = 0; word < kBlock / 8; ++word) {
            std::uint64_t bytes = 0;
            std::memcpy(&bytes, block + word * 8, 8);
            const std::uint64_t differ = bytes ^ pattern;
            // Exact test for zero bytes: the high bit of each byte is set iff the byte is not zero.
            const std::uint64_t not_zero = ((differ & kLow) + kLow) | differ;
            const std::uint64_t hits = (~not_zero >> 7U) & kOnes;
            mask |= (hits * 0x0102040810204080ULL >> 56U) << (word * 8);
        }
        return mask;
    }
    static std::uint64_t brackets(const char* block) {
        return equal(block, '{') | equal(block, '}') | equal(block, '[') | equal(block, ']');
    }
    static std::uint64_t separators(const char* block) {
        return equal(block, ':') | equal(block, ',');
    }
    static std::uint64_t space(const char* block) {
        return equal(block, ' ') | equal(block, '\n') | equal(block, '\r') | equal(block, '\t');
    }
    /// Bit i = xor of the bits 0…i: turns quotes into "inside a string".
    static std::uint64_t prefix_xor(std::uint64_t bits) {
        for (unsigned shift = 1; shift < 64; shift *= 2) {
            bits ^= bits << shift;
        }
        return bits;
    }
};

#if defined(__x86_64__)
/// Not always_inline: these are called from a template without the target attribute, and inlined
/// only once that is part of a function that has it.
struct Avx2Kernel {
    MILLRACE_AVX2 static std::uint64_t mask(__m256i low, __m256i high) {
        const auto a = static_cast<std::uint32_t>(_mm256_movemask_epi8(low));
        const auto b = static_cast<std::uint32_t>(_mm256_movemask_epi8(high));
        return a | static_cast<std::uint64_t>(b) << 32U;
    }
    MILLRACE_AVX2 static __m256i half(const char* block, std::size_t at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + at));
    }
    MILLRACE_AVX2 static std::uint64_t equal(const char* block, char byte) {
        const __m256i pattern = _mm256_set1_epi8(byte);
        return mask(_mm256_cmpeq_epi8(half(block, 0), pattern),
                    _mm256_cmpeq_epi8(half(block, 32), pattern));
    }
    MILLRACE_AVX2 static __m256i brackets_of(__m256i bytes) {
        // Square and curly brackets differ in bit 0x20 only, and nothing else maps onto them by
        // setting it.
        const __m256i folded = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
        return _mm256_or_si256(_mm256_cmpeq_epi8(folded, _mm256_set1_epi8('{')),
                               _mm256_cmpeq_epi8(folded, _mm256_set1_epi8('}')));
    }
    MILLRACE_AVX2 static std::uint64_t brackets(const char* block) {
        return mask(brackets_of(half(block, 0)), brackets_of(half(block, 32)));
    }
    MILLRACE_AVX2 static std::uint64_t separators(const char* block) {
        return equal(block, ':') | equal(block, ',');
    }
    MILLRACE_AVX2 static std::uint64_t space(const char* block) {
        return equal(block, ' ') | equal(block, '\n') | equal(block, '\r') | equal(block, '\t');
    }
    MILLRACE_AVX2 static std::uint64_t prefix_xor(std::uint64_t bits) {
        const __m128i value = _mm_set_epi64x(0, static_cast<long long>(bits));
        const __m128i product =
            _mm_clmulepi64_si128(value, _mm_set1_epi8(static_cast<char>(-1)), 0);
        return static_cast<std::uint64_t>(_mm_cvtsi128_si64(product));
    }
};
#endif

}  // namespace millrace::metrics

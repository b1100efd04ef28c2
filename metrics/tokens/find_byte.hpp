// The one inner loop of every text reader here: the first of two bytes. 16 bytes at a time where
// SSE2 is the baseline (all x86-64), bytewise elsewhere. Never reads past `end`. Thread-safety:
// pure function.
#pragma once

#include <bit>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::metrics {

inline const char* find_either(const char* at, const char* end, char a, char b) {
#if defined(__SSE2__)
    const __m128i first = _mm_set1_epi8(a);
    const __m128i second = _mm_set1_epi8(b);
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i hits =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, first), _mm_cmpeq_epi8(bytes, second));
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(hits));
        if (mask != 0) {
            return at + std::countr_zero(mask);
        }
        at += 16;
    }
#endif
    while (at != end && *at != a && *at != b) {
        ++at;
    }
    return at;
}

}  // namespace millrace::metrics

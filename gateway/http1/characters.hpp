// Character classes of RFC 9110 and the two searches that the parsers spend their time in: the next
// control byte, and the end of a field name. SSE2 (part of every x86-64) with a portable fallback.
// Thread-safety: pure functions.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::http1 {

namespace detail {

/// One flag per byte. A plain array, since hardened std::array checks an index that cannot be
/// wrong.
struct ByteSet {
    bool has[256] = {};
    constexpr bool operator()(char c) const { return has[static_cast<unsigned char>(c)]; }
};

consteval ByteSet letters_digits_and(std::string_view others) {
    ByteSet set;
    for (unsigned c = 0; c < 256; ++c) {
        const unsigned lower = c | 0x20U;
        set.has[c] = (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z');
    }
    for (const char c : others) {
        set.has[static_cast<unsigned char>(c)] = true;
    }
    return set;
}

inline constexpr ByteSet kTokenChars = letters_digits_and("!#$%&'*+-.^_`|~");

}  // namespace detail

constexpr bool is_token_char(char c) {
    return detail::kTokenChars(c);
}

constexpr bool is_token(std::string_view text) {
    for (const char c : text) {
        if (!is_token_char(c)) {
            return false;
        }
    }
    return !text.empty();
}

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// A byte that no line may contain: control bytes except HTAB, and DEL.
constexpr bool is_control(char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 0x20 && u != '\t') || u == 0x7f;
}

#if defined(__SSE2__)
namespace detail {

/// Bit i is set if is_control(from[i]), for 16 bytes.
inline std::uint64_t control_mask(const char* from) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
    const __m128i bad =
        _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(block, _mm_set1_epi8('\t')), low),
                     _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f)));
    return static_cast<unsigned>(_mm_movemask_epi8(bad));
}

}  // namespace detail
#endif

/// Walks over the bytes of [begin, end) for which is_control holds.
class ControlBytes {
public:
    ControlBytes(const char* begin, const char* end) : begin_(begin), next_(begin), end_(end) {}

    /// The next one, or `end`.
    const char* next() {
#if defined(__SSE2__)
        while (mask_ == 0 && load()) {
        }
        if (mask_ != 0) {
            const char* const found = block_ + std::countr_zero(mask_);
            const std::uint64_t lowest = mask_ & (0U - mask_);
            mask_ ^= lowest;
            after_ = lowest << 1U;
            return found;
        }
#endif
        while (next_ != end_ && !is_control(*next_)) {
            ++next_;
        }
        return next_ == end_ ? end_ : next_++;
    }

    /// Leaves out the byte right behind the last one, where that is cheap; else next() still
    /// returns it.
    void skip_following() { mask_ &= ~after_; }

private:
#if defined(__SSE2__)
    /// Loads the mask of what comes next; false if there are too few bytes for a load.
    bool load() {
        const auto left = end_ - next_;
        if (left >= 64) {
            block_ = next_;
            mask_ = detail::control_mask(block_) | detail::control_mask(block_ + 16) << 16U |
                    detail::control_mask(block_ + 32) << 32U |
                    detail::control_mask(block_ + 48) << 48U;
            next_ += 64;
        } else if (left >= 16) {
            block_ = next_;
            mask_ = detail::control_mask(block_);
            next_ += 16;
        } else if (left > 0 && end_ - begin_ >= 16) {
            // The last 16 bytes again, without those that were seen.
            block_ = end_ - 16;
            mask_ = detail::control_mask(block_) >> (16 - left) << (16 - left);
            next_ = end_;
        } else {
            return false;
        }
        return true;
    }
#endif

    const char* begin_;
    const char* next_;
    const char* end_;
    const char* block_ = nullptr;
    std::uint64_t after_ = 0;  ///< the bit behind the last one returned
    std::uint64_t mask_ = 0;   ///< control bytes from block_ on that were not returned yet
};

/// First byte of [begin, end) for which is_control holds, or `end`.
inline const char* find_control(const char* begin, const char* end) {
    return ControlBytes(begin, end).next();
}

/// Where a token ended, and whether it had only letters, digits and `-`.
struct TokenEnd {
    const char* at;
    bool plain;
};

/// First byte of [begin, end) that is not a token character, or `end`. Letters, digits and `-` go
/// 16 at a time while [begin, readable_end) allows to load them; the rarer ones go through the
/// table.
inline TokenEnd skip_token(const char* begin, const char* end, const char* readable_end) {
#if defined(__SSE2__)
    const __m128i case_bit = _mm_set1_epi8(0x20);
    while (readable_end - begin >= 16) {
        const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(begin));
        const __m128i lower = _mm_or_si128(block, case_bit);
        // Signed compares: bytes from 0x80 on are negative and so outside of both ranges.
        const __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                             _mm_cmpgt_epi8(_mm_set1_epi8('z' + 1), lower));
        const __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(block, _mm_set1_epi8('0' - 1)),
                                            _mm_cmpgt_epi8(_mm_set1_epi8('9' + 1), block));
        const __m128i dash = _mm_cmpeq_epi8(block, _mm_set1_epi8('-'));
        const __m128i good = _mm_or_si128(_mm_or_si128(letter, digit), dash);
        const auto mask = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffU;
        if (mask != 0) {
            begin += std::countr_zero(mask);
            break;
        }
        begin += 16;
    }
#else
    static_cast<void>(readable_end);
#endif
    if (begin >= end) {
        return {end, true};
    }
    if (!is_token_char(*begin)) {
        return {begin, true};
    }
    while (begin < end && is_token_char(*begin)) {
        ++begin;
    }
    return {begin, false};
}

/// Without spaces and tabs at both ends.
constexpr std::string_view trim(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
    const char* begin = text.data();
    const char* end = begin + text.size();
    while (begin != end && is_space(*begin)) {
        ++begin;
    }
    while (begin != end && is_space(*(end - 1))) {
        --end;
    }
    return {begin, static_cast<std::size_t>(end - begin)};
}

}  // namespace millrace::http1

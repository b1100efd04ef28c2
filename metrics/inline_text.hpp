// InlineText<N>: a short text kept in place, so that a record owns its strings without allocating.
//
// Longer texts are cut at a UTF-8 character boundary. Used for log fields that must outlive the
// buffer they were read from. Thread-safety: plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace millrace::metrics {

/// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 sequence.
constexpr std::string_view utf8_prefix(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) {
        return text;
    }
    std::size_t end = limit;
    // text[end] is the first byte left out; while it continues a character, that character goes
    // too. A character has at most three continuation bytes; more is not UTF-8 and is cut where it
    // stands.
    for (int steps = 0;
         steps < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U;
         ++steps) {
        --end;
    }
    return text.substr(0, end);
}

template <std::size_t kCapacity>
class InlineText {
public:
    InlineText() noexcept {}
    explicit InlineText(std::string_view text) noexcept { assign(text); }
    InlineText& operator=(std::string_view text) noexcept {
        assign(text);
        return *this;
    }

    void assign(std::string_view text) noexcept {
        const std::string_view kept = utf8_prefix(text, kCapacity);
        if (!kept.empty()) {  // an empty view may have no address
            std::memcpy(bytes_.data(), kept.data(), kept.size());
        }
        size_ = static_cast<std::uint16_t>(kept.size());
    }
    std::string_view view() const noexcept { return {bytes_.data(), size_}; }
    bool empty() const noexcept { return size_ == 0; }

private:
    static_assert(kCapacity <= 1024);
    std::array<char, kCapacity> bytes_;  // not cleared: only the first size_ bytes are ever read
    std::uint16_t size_ = 0;
};

}  // namespace millrace::metrics

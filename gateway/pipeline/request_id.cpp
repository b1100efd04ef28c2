#include "gateway/pipeline/request_id.hpp"

#include <algorithm>

namespace millrace::gateway {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

bool is_lower_hex(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) {
    return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

RequestId::RequestId(WallTime now, Random& random) {
    const auto milliseconds = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count());
    const std::uint64_t first = random();
    const std::uint64_t second = random();
    // 48 bits of time, version 7, 12 random bits; variant 10, 62 random bits.
    const std::uint64_t high = milliseconds << 16U | 0x7000U | (first & 0x0fffU);
    const std::uint64_t low = (second & 0x3fff'ffff'ffff'ffffULL) | 0x8000'0000'0000'0000ULL;
    std::size_t at = 0;
    for (unsigned nibble = 0; nibble < 32; ++nibble) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) {
            text_[at++] = '-';
        }
        const std::uint64_t word = nibble < 16 ? high : low;
        text_[at++] = kHex[(word >> (60U - 4U * (nibble % 16U))) & 0xfU];
    }
}

bool is_acceptable_request_id(std::string_view id) {
    return !id.empty() && id.size() <= 64 && std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

bool is_valid_traceparent(std::string_view value) {
    return value.size() == 55 && value.starts_with("00-") && value[35] == '-' && value[52] == '-' &&
           is_lower_hex(value.substr(3, 32)) && !all_zero(value.substr(3, 32)) &&
           is_lower_hex(value.substr(36, 16)) && !all_zero(value.substr(36, 16)) &&
           is_lower_hex(value.substr(53));
}

}  // namespace millrace::gateway

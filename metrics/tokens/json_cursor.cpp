#include "metrics/tokens/json_cursor.hpp"

#include <cstdint>

namespace millrace::metrics {

// NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop over bytes
bool JsonCursor::skip_nested() {
    std::uint64_t kinds = 0;  // one bit per open bracket, 1 = square; the innermost is bit 0
    unsigned depth = 0;
    while (at_ != end_) {
        const char byte = *at_;
        if (byte == '"') {
            if (!skip_string()) {
                return false;
            }
            continue;
        }
        if (byte == '{' || byte == '[') {
            if (depth == 64) {
                return fail();
            }
            kinds = kinds << 1U | (byte == '[' ? 1U : 0U);
            ++depth;
        } else if (byte == '}' || byte == ']') {
            if ((kinds & 1U) != (byte == ']' ? 1U : 0U)) {
                return fail();
            }
            kinds >>= 1U;
            if (--depth == 0) {
                ++at_;
                return true;
            }
        }
        ++at_;
    }
    return fail();
}

}  // namespace millrace::metrics

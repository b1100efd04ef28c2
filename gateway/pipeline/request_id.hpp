// Request ids: ours are UUIDv7 (RFC 9562 §5.7), so that they sort by time; a client's own is kept
// when it is harmless. Thread-safety: pure functions.
#pragma once

#include <array>
#include <string_view>

#include "config/base/clock.hpp"
#include "config/base/random.hpp"

namespace millrace::gateway {

class RequestId {
public:
    /// A new id: milliseconds of `now`, then random bits.
    RequestId(WallTime now, Random& random);
    std::string_view view() const { return {text_.data(), text_.size()}; }

private:
    std::array<char, 36> text_{};
};

/// `[A-Za-z0-9._-]{1,64}`: safe in headers, logs and file names.
bool is_acceptable_request_id(std::string_view id);

/// W3C Trace Context §3.2: `00-<32 hex>-<16 hex>-<2 hex>`, neither id all zero.
bool is_valid_traceparent(std::string_view value);

}  // namespace millrace::gateway

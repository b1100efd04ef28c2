// Whether a failed attempt may be made again. One retry, and only where the backend cannot have
// begun to work on the request, or did so on a connection that it was closing anyway: a refused or
// timed-out connect, or EOF/RST before any response byte on a reused connection. Thread-safety:
// none; one per request.
#pragma once

#include <cstdint>
#include <string_view>

#include "config/base/error.hpp"

namespace millrace::routing {

/// What makes a request unsafe to send twice.
struct RepeatFacts {
    std::string_view method;
    bool api_path = true;               ///< inference POSTs may be repeated; unknown POSTs may not
    bool store = false;                 ///< `store: true`
    bool background = false;            ///< `background: true`
    bool previous_response_id = false;  ///< continues a stored response
};

/// How an attempt ended without success.
struct AttemptResult {
    Errc error = Errc::internal;
    bool connection_reused = false;
    std::uint64_t response_bytes = 0;  ///< bytes read from the upstream
    bool body_relayed = false;         ///< an upstream body byte was written to the client
};

class RetryPolicy {
public:
    enum class Verdict : std::uint8_t { retry, give_up };

    explicit RetryPolicy(const RepeatFacts& facts);

    /// Asks about one failed attempt; `retry` spends the one retry. The next pick should avoid the
    /// failed endpoint.
    Verdict after(const AttemptResult& attempt);
    /// Attempts that failed so far.
    std::uint32_t failures() const { return failures_; }

private:
    bool repeatable_;
    std::uint32_t failures_ = 0;
    bool spent_ = false;
};

}  // namespace millrace::routing

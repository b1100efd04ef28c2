// RequestRecord: all that is known about a finished request; settle() adds it to the counters.
//
// The pipeline fills the record as the request proceeds, and its scope's destructor settles it,
// once, on every exit. The access log prints the same record. It owns its texts in place (no
// dangling views; only a second attempt or a second model's name allocates), and holds no prompt,
// no completion and no secret. Missing knowledge is an empty optional, never 0. Thread-safety:
// plain value; settle() on the slot's own thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>
#include <vector>

#include "config/base/clock.hpp"
#include "config/base/error.hpp"
#include "metrics/inline_text.hpp"
#include "metrics/labels.hpp"
#include "metrics/slot.hpp"
#include "metrics/tokens/usage.hpp"

namespace millrace::metrics {

struct AttemptRecord {
    BackendId backend;
    InlineText<64> backend_name;
    InlineText<64> endpoint;
    AttemptOutcome outcome = AttemptOutcome::internal;
    std::optional<ConnectionKind> connection;  ///< empty when no connection came about
    std::optional<RetryReason> retried;        ///< set when another attempt followed
    const char* chosen_by = "";                ///< static text; why that endpoint
    std::uint16_t status = 0;                  ///< 0 when no response head came
    bool billed = false;                       ///< its tokens are in RequestRecord::tokens
    bool continues = false;  ///< the stream of the one before: its prompt is not billed again
    TokenUsage tokens;       ///< recorded even when not billed
    double dollars = 0;      ///< for the endpoint's time; 0 = its price is not known
    std::uint64_t upstream_bytes_read = 0;
};

/// Retries, fallbacks and hedges stay within this many attempts of one request.
inline constexpr std::size_t kMaxAttempts = 6;

/// The first one lies inside, because most requests make no other.
class AttemptList {
public:
    /// Beyond kMaxAttempts the newest replaces the last one; total() still counts them all.
    /// References stay valid.
    AttemptRecord& add() {
        ++total_;
        if (total_ == 1) {
            return first_;
        }
        if (total_ <= kMaxAttempts) {
            more_.reserve(kMaxAttempts - 1);
            return more_.emplace_back();
        }
        return more_.back() = AttemptRecord{};
    }
    /// A random-access view, in order.
    auto kept() const {
        const auto at = [this](std::size_t i) -> const AttemptRecord& {
            return i == 0 ? first_ : more_[i - 1];
        };
        return std::views::iota(std::size_t{0}, std::min(total_, kMaxAttempts)) |
               std::views::transform(at);
    }
    /// The latest attempt, or nullptr before the first.
    AttemptRecord* last() noexcept {
        return total_ == 0 ? nullptr : more_.empty() ? &first_ : &more_.back();
    }
    const AttemptRecord* last() const noexcept {
        return total_ == 0 ? nullptr : more_.empty() ? &first_ : &more_.back();
    }
    std::size_t total() const noexcept { return total_; }

private:
    AttemptRecord first_;
    std::vector<AttemptRecord> more_;
    std::size_t total_ = 0;
};

struct RequestRecord {
    // Who and what. The ids choose the series; the texts are for the log.
    VariantId variant;
    TenantId tenant;
    InlineText<64> request_id;
    InlineText<128> model_name;
    std::string requested_model;  ///< where another answered: by choice or fallback; else empty
    InlineText<64> variant_name;
    InlineText<64> tenant_name;
    InlineText<64> key_id;
    std::string_view api;  ///< surface, e.g. chat_completions; static text
    InlineText<16> method;
    InlineText<128> path;  ///< without the query, which may hold secrets
    InlineText<48> client_ip;
    bool stream = false;
    bool sdk_retry = false;  ///< x-stainless-retry-count > 0

    // How it ended.
    Outcome outcome = Outcome::internal;
    std::optional<Errc> error;  ///< the error the client was, or would have been, told
    std::uint16_t status = 0;   ///< sent to the client; 0 when nothing was
    Commit committed = Commit::none;
    std::optional<Exactness> exactness;  ///< empty when there is nothing to bill
    TokenUsage tokens;                   ///< billed
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;

    // Times; empty when the request did not get that far.
    Duration duration{};
    std::optional<Duration> first_token;
    std::optional<Duration> queue_wait;
    std::optional<Duration> overhead;      ///< the gateway's own time
    std::optional<Duration> content_time;  ///< of a stream: from its first content to its last
    std::uint64_t content_events = 0;      ///< of a stream

    AttemptList attempts;
};

/// Adds the record to every counter and histogram of the slot. Call once per request; cannot fail.
void settle(Slot& slot, const RequestRecord& record) noexcept;

/// Counts an answer that never became a request (a head that does not parse, a connection over the
/// limit).
void count_refusal(Slot& slot, Errc code) noexcept;

}  // namespace millrace::metrics

#include "metrics/labels.hpp"

namespace millrace::metrics {

Outcome outcome_of(Errc code) {
    switch (code) {
        case Errc::upstream_connect_failed:
        case Errc::upstream_connect_timeout:
        case Errc::upstream_closed:
        case Errc::upstream_bad_response:
        case Errc::upstream_error_event: return Outcome::backend_error;
        case Errc::upstream_truncated: return Outcome::truncated;
        case Errc::first_byte_timeout:
        case Errc::first_token_timeout:
        case Errc::idle_timeout:
        case Errc::total_timeout: return Outcome::timeout;
        case Errc::client_closed:
        case Errc::client_write_stalled: return Outcome::client_closed;
        case Errc::drain_deadline: return Outcome::drained;
        case Errc::internal:
        case Errc::kErrcCount: return Outcome::internal;
        default: return Outcome::refused;  // the form, the content, identity, and our capacity
    }
}

FallbackReason fallback_reason_of(Errc code) {
    switch (code) {
        case Errc::upstream_connect_failed:
        case Errc::upstream_connect_timeout: return FallbackReason::connect_failed;
        case Errc::first_byte_timeout:
        case Errc::first_token_timeout:
        case Errc::idle_timeout:
        case Errc::total_timeout: return FallbackReason::timeout;
        case Errc::queue_full:
        case Errc::queue_timeout:
        case Errc::shed: return FallbackReason::queue;
        case Errc::pool_asleep:
        case Errc::pool_starting:
        case Errc::no_ready_endpoint: return FallbackReason::unready;
        default: return FallbackReason::failed;
    }
}

}  // namespace millrace::metrics

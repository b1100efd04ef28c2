// DemandTicket: one request's share of queued, in_flight and pending; and what a scaler reads from
// their sums.
//
// The ticket is opened when the request is admitted and dies with it. Its destructor takes back
// whatever is left, so the gauges are exact at every instant and 0 when nothing runs, whichever way
// a request ends. There is no other way to change them. States: queued → in flight (one per live
// attempt) → first content; requeue() for a retry. Thread-safety: a ticket stays on its worker (the
// slot's single writer). ModelDemand is a plain value.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "metrics/slot.hpp"

namespace millrace::metrics {

class DemandTicket {
public:
    DemandTicket() noexcept = default;
    /// Counts the request as queued and pending, and latches the model's demand.
    DemandTicket(Slot& slot, VariantId variant) noexcept;
    DemandTicket(DemandTicket&& other) noexcept;
    DemandTicket& operator=(DemandTicket&& other) noexcept;
    DemandTicket(const DemandTicket&) = delete;
    DemandTicket& operator=(const DemandTicket&) = delete;
    ~DemandTicket() { finish(); }

    /// An attempt was handed to an endpoint: queued → in flight, or one more live attempt.
    void dispatch() noexcept;
    /// First content token of a stream, response head of anything else: no longer pending.
    void first_content() noexcept;
    /// One of several live attempts ended and the others go on.
    void attempt_ended() noexcept;
    /// Every attempt ended and another will be made: in flight → queued, pending again.
    void requeue() noexcept;
    /// The request was drawn again and counts for another variant. For an instant it counts for
    /// both, so that the load of a model is never seen too low.
    void move_to(Slot& slot, VariantId variant) noexcept;
    /// The request is over. Idempotent; also done by the destructor.
    void finish() noexcept;

    bool active() const noexcept { return cell_ != nullptr; }

private:
    void apply(const DemandCounts& next) noexcept;

    DemandCell* cell_ = nullptr;
    DemandCounts counted_;
    bool content_ = false;
};

/// A model's demand over all variants and threads.
struct ModelDemand {
    std::uint64_t load = 0;
    std::uint64_t pending = 0;
    std::uint64_t queued = 0;
    std::uint64_t in_flight = 0;
    bool active = false;  ///< load > 0, or a request came (and perhaps went) since the last look

    bool operator==(const ModelDemand&) const = default;
};

/// One reader's memory of the latch. Each consumer (KEDA poll, push stream, controller) keeps its
/// own per model, so that none of them consumes what another has not seen.
struct DemandCursor {
    std::uint64_t arrivals = 0;
};

/// The body of KEDA's metrics-api scaler: `{"value": load, "pending": …, "queued": …, "in_flight":
/// …}`.
std::string scaling_json(const ModelDemand& demand);

}  // namespace millrace::metrics

#include "metrics/demand.hpp"

namespace millrace::metrics {

DemandTicket::DemandTicket(Slot& slot, VariantId variant) noexcept
    : cell_(&slot.variant(variant).demand) {
    slot.variant(variant).arrivals.add();
    apply({.queued = 1, .in_flight = 0, .pending = 1});
}

DemandTicket::DemandTicket(DemandTicket&& other) noexcept
    : cell_(std::exchange(other.cell_, nullptr)),
      counted_(std::exchange(other.counted_, {})),
      content_(other.content_) {}

DemandTicket& DemandTicket::operator=(DemandTicket&& other) noexcept {
    if (this != &other) {
        finish();
        cell_ = std::exchange(other.cell_, nullptr);
        counted_ = std::exchange(other.counted_, {});
        content_ = other.content_;
    }
    return *this;
}

void DemandTicket::apply(const DemandCounts& next) noexcept {
    if (cell_ != nullptr) {
        cell_->replace(counted_, next);
        counted_ = next;
    }
}

void DemandTicket::dispatch() noexcept {
    const std::uint64_t live = counted_.in_flight + 1;
    apply({.queued = 0, .in_flight = live, .pending = content_ ? 0 : live});
}

void DemandTicket::first_content() noexcept {
    content_ = true;
    apply({.queued = counted_.queued, .in_flight = counted_.in_flight, .pending = counted_.queued});
}

void DemandTicket::attempt_ended() noexcept {
    const std::uint64_t live = counted_.in_flight > 0 ? counted_.in_flight - 1 : 0;
    apply({.queued = counted_.queued,
           .in_flight = live,
           .pending = counted_.queued + (content_ ? 0 : live)});
}

void DemandTicket::requeue() noexcept {
    content_ = false;
    apply({.queued = 1, .in_flight = 0, .pending = 1});
}

void DemandTicket::move_to(Slot& slot, VariantId variant) noexcept {
    DemandCell* target = &slot.variant(variant).demand;
    if (cell_ == nullptr || cell_ == target) {
        return;
    }
    slot.variant(variant).arrivals.add();
    target->replace({}, counted_);
    cell_->replace(counted_, {});
    cell_ = target;
}

void DemandTicket::finish() noexcept {
    apply({});
    cell_ = nullptr;
}

std::string scaling_json(const ModelDemand& demand) {
    return "{\"value\": " + std::to_string(demand.load) +
           ", \"pending\": " + std::to_string(demand.pending) +
           ", \"queued\": " + std::to_string(demand.queued) +
           ", \"in_flight\": " + std::to_string(demand.in_flight) + "}";
}

}  // namespace millrace::metrics

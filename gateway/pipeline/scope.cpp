#include "gateway/pipeline/scope.hpp"

#include <utility>

#include "gateway/pipeline/observe_rollout.hpp"
#include "gateway/pipeline/request_id.hpp"

namespace millrace::gateway {

using http1::KnownField;

namespace {

/// A backend that answers 429 could not serve the request either.
bool is_failure(std::uint16_t status) {
    return status == 429 || status >= 500;
}

bool is_lack_of_capacity(Errc code) {
    return code == Errc::no_ready_endpoint || code == Errc::queue_full ||
           code == Errc::queue_timeout || code == Errc::pool_asleep || code == Errc::pool_starting;
}

}  // namespace

RequestScope::RequestScope(Services& with, Exchange& of)
    : services(with), exchange(of), budget(with.budget), snapshot_(with.snapshots.get()) {
    const auto& head = exchange.head;
    const auto given = head.value(KnownField::x_request_id);
    if (is_acceptable_request_id(given)) {
        record.request_id = given;
    } else {
        record.request_id = RequestId(services.clock.wall(), services.loop.random()).view();
    }
    record.method = head.method_text;
    record.path = head.path;
    record.client_ip = exchange.peer.address;
    const auto retries = head.value(KnownField::x_stainless_retry_count);
    record.sdk_retry = !retries.empty() && retries != "0";
    record.tenant_name = kAnonymousTenant;
}

RequestScope::~RequestScope() {
    demand.finish();
    record.bytes_out = exchange.sink.bytes_written();
    if (exchange.sink.committed() && record.committed == metrics::Commit::none) {
        record.committed = metrics::Commit::first_byte;
    }
    record.duration = services.loop.now() - exchange.started;
    metrics::settle(services.metrics, record);
    if (rollout_ != nullptr) {
        observe(*rollout_, arm_, services.worker, record);
    }
    if (measure_ != nullptr) {
        measure();
    }
    if (services.access_log != nullptr) {
        services.access_log->write(record, services.clock.wall());
    }
}

void RequestScope::identify(const Principal& who) {
    principal = who;
    record.tenant = metrics::TenantId{who.tenant_metric};
    record.tenant_name = who.tenant;
    record.key_id = who.key_id;
}

void RequestScope::name(const routing::Decision& decision) {
    record.variant = metrics::VariantId{decision.target->variant_metric};
    record.model_name =
        decision.rule->model_id.empty() ? routing::kUnknownModel : decision.model_id;
    record.variant_name = decision.target->variant;
    measure_ = decision.rule->measure.get();
    rollout_ = decision.rule->rollout.get();
    arm_ = decision.target == &decision.rule->targets.front() ? routing::RolloutArm::stable
                                                              : routing::RolloutArm::canary;
}

void RequestScope::admit(const routing::Decision& decision) {
    name(decision);
    record.requested_model = decision.chosen_by;
    demand = metrics::DemandTicket(services.metrics, record.variant);
}

void RequestScope::fall_back(const routing::Decision& decision, metrics::FallbackReason reason) {
    services.metrics.variant(record.variant).fallbacks[metrics::index_of(reason)].add();
    if (record.requested_model.empty()) {
        record.requested_model = record.model_name.view();
    }
    retry_after.reset();  // what the pool that was left knew
    name(decision);
    demand.move_to(services.metrics, record.variant);
}

/// For the `auto` models that may choose this one. What the client did or the operator wanted
/// says nothing about the model; a wait in vain does.
void RequestScope::measure() const {
    using metrics::Outcome;
    if (record.first_token) {
        measure_->first_token(*record.first_token);
    }
    switch (record.outcome) {
        case Outcome::completed: measure_->ended(is_failure(record.status)); break;
        case Outcome::backend_error:
        case Outcome::truncated:
        case Outcome::timeout: measure_->ended(true); break;
        case Outcome::refused:
            if (record.error && is_lack_of_capacity(*record.error)) {
                measure_->ended(true);
            }
            break;
        default: break;
    }
}

void RequestScope::fail(const Error& error) {
    record.error = error.code;
    record.outcome = metrics::outcome_of(error.code);
}

}  // namespace millrace::gateway

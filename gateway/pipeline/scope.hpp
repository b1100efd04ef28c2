// RequestScope: one request's account. Whatever happens to the request, its destructor settles it
// exactly once: gauges back to where they were, counters and histograms, one line in the access
// log.
//
// It owns what must not leak on any exit: the demand ticket, the byte-budget lease, the
// configuration snapshot, and (inside the record) every text it will need after the request's
// buffers are gone. Thread-safety: none; one worker.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "config/base/error.hpp"
#include "gateway/identity/authenticator.hpp"
#include "gateway/openai/surface.hpp"
#include "gateway/pipeline/ports.hpp"
#include "gateway/pipeline/services.hpp"
#include "metrics/demand.hpp"
#include "metrics/settlement.hpp"
#include "metrics/tokens/usage.hpp"
#include "routing/decision.hpp"

namespace millrace::gateway {

class RequestScope {
public:
    RequestScope(Services& services, Exchange& exchange);
    RequestScope(const RequestScope&) = delete;
    RequestScope& operator=(const RequestScope&) = delete;
    ~RequestScope();

    std::string_view request_id() const { return record.request_id.view(); }
    const Snapshot& snapshot() const { return *snapshot_; }
    /// For what outlives the request.
    const std::shared_ptr<const Snapshot>& shared_snapshot() const { return snapshot_; }
    const config::Config& config() const { return snapshot_->config(); }

    void identify(const Principal& who);
    /// The request is admitted to its pool: queued, until an attempt is dispatched.
    void admit(const routing::Decision& decision);
    /// The request leaves its pool for a fallback of its model and counts there from now on.
    void fall_back(const routing::Decision& decision, metrics::FallbackReason reason);
    /// The request ends with this error, whoever is still there to be told.
    void fail(const Error& error);

    Services& services;
    Exchange& exchange;
    Principal principal;
    metrics::RequestRecord record;
    metrics::DemandTicket demand;
    BudgetLease budget;
    /// When to come back, where a refusal knows better than the default.
    std::optional<Duration> retry_after;

private:
    void measure() const;
    void name(const routing::Decision& decision);

    std::shared_ptr<const Snapshot> snapshot_;
    routing::RolloutTraffic* rollout_ = nullptr;  // of the snapshot's rule; null = none
    routing::RolloutArm arm_ = routing::RolloutArm::stable;
    routing::ModelMeasure* measure_ = nullptr;  // the snapshot's
};

}  // namespace millrace::gateway

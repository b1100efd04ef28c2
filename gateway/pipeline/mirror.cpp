#include "gateway/pipeline/mirror.hpp"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gateway/pipeline/upstream_request.hpp"
#include "gateway/upstream/attempt.hpp"
#include "routing/decision.hpp"
#include "routing/outlier.hpp"

namespace millrace::gateway {

using metrics::MirrorOutcome;

class Mirrors::Copy {
public:
    Copy(const RequestScope& scope, const Resolved& resolved, routing::EndpointLease lease,
         BudgetLease budget, std::string bytes, bool is_stream)
        : services_(scope.services),
          snapshot_(scope.shared_snapshot()),
          rule_(*resolved.matched),
          backend_(snapshot_->backend_of(rule_.mirror)),
          variant_(scope.record.variant),
          endpoint_(std::move(lease)),
          budget_(std::move(budget)),
          bytes_(std::move(bytes)) {
        options_.timeouts = backend_.settings->timeouts;
        options_.is_stream = is_stream;
        const auto total = options_.timeouts.total;
        if (total > Duration(0)) {
            options_.total_deadline = services_.loop.recent() + total;
            options_.total_limit = total;
        }
    }

    Task<void> run() {
        const Instant began = services_.loop.recent();
        Attempt attempt(services_.loop, services_.upstreams, abort_, options_);
        const auto status = co_await exchange(attempt);
        if (!abort_) {
            rule_.mirror.pool->report(
                endpoint_,
                status ? routing::evidence_of(*status)
                       : routing::evidence_of(status.error().code, attempt.reused()),
                began, services_.loop.recent());
        }
        count(!status                            ? MirrorOutcome::failed
              : *status == 429 || *status >= 500 ? MirrorOutcome::error_status
                                                 : MirrorOutcome::ok);
    }

    void abort() { abort_.fire(AbortReason::drain_deadline); }

private:
    /// The status of an answer that came to its end.
    Task<Result<int>> exchange(Attempt& attempt) {
        if (auto connected = co_await attempt.connect(*endpoint_, backend_); !connected) {
            co_return std::unexpected(std::move(connected.error()));
        }
        std::vector<std::string_view> pieces{bytes_};
        if (auto sent = co_await attempt.send(pieces); !sent) {
            co_return std::unexpected(std::move(sent.error()));
        }
        bytes_ = {};
        budget_.release();
        if (auto head = co_await attempt.read_head(); !head) {
            co_return std::unexpected(std::move(head.error()));
        }
        const int status = attempt.head().status;
        for (;;) {
            const auto progress = co_await attempt.read(pieces);
            if (!progress) {
                co_return std::unexpected(progress.error());
            }
            attempt.content_seen();  // what came is not looked into
            if (*progress == BodyProgress::complete) {
                attempt.finish(*backend_.settings);
                co_return status;
            }
        }
    }

    void count(MirrorOutcome outcome) {
        services_.metrics.count_mirrored(metrics::BackendId{rule_.mirror.backend_metric}, variant_,
                                         outcome);
    }

    Services& services_;
    const std::shared_ptr<const Snapshot> snapshot_;  // what the references below are part of
    const routing::Rule& rule_;
    const BackendRuntime& backend_;
    const metrics::VariantId variant_;
    routing::EndpointLease endpoint_;
    BudgetLease budget_;
    std::string bytes_;
    AttemptOptions options_;
    AbortSignal abort_;
};

Mirrors::Mirrors() = default;
Mirrors::~Mirrors() = default;

void Mirrors::draw(const RequestScope& scope, const Request& request, const Resolved& resolved) {
    const auto& rule = *resolved.matched;
    // What is about a stored response means nothing to another backend.
    if (request.surface == nullptr || resolved.pinned != nullptr ||
        scope.services.loop.random().below(100) >= rule.mirror.weight) {
        return;
    }
    if (draining_ || copies_.size() >= kAtOnce || !start(scope, request, resolved)) {
        scope.services.metrics.count_mirrored(metrics::BackendId{rule.mirror.backend_metric},
                                              scope.record.variant, MirrorOutcome::dropped);
    }
}

bool Mirrors::start(const RequestScope& scope, const Request& request, const Resolved& resolved) {
    auto& services = scope.services;
    const auto& rule = *resolved.matched;
    auto decision = resolved.decision;
    decision.target = &rule.mirror;
    if (!rule.mirror.served_name.empty()) {
        decision.served_name = rule.mirror.served_name;
    }
    auto endpoint =
        routing::pick_endpoint(decision, {}, services.endpoints, services.loop.random()).lease;
    if (!endpoint) {
        return false;
    }
    BudgetLease budget(services.budget);
    const auto edit = edit_for(request, decision, {});
    const auto& backend = scope.snapshot().backend_of(rule.mirror);
    const auto scratch = services.scratch.get();
    // The head is small against what is leased for requests anyway.
    if (!budget.grow_to(edit.length(request.body.size()))) {
        return false;
    }
    write_upstream_request(scope, request, decision, *endpoint, backend, edit, *scratch);
    std::string bytes;
    for (const auto piece : scratch->request) {
        bytes += piece;
    }
    auto made = std::make_unique<Copy>(scope, resolved, std::move(endpoint), std::move(budget),
                                       std::move(bytes), request.is_stream());
    auto* const copy = made.get();
    copies_.emplace(copy, std::move(made));
    // On the next turn, so that the original goes first; it ends on another, because what runs it
    // still stands on it.
    services.loop.post([this, copy, &loop = services.loop] {
        spawn(copy->run(), [this, copy, &loop](const std::exception_ptr& /*a bug*/) {
            loop.post([this, copy] { copies_.erase(copy); });
        });
    });
    return true;
}

void Mirrors::drain(bool on) {
    draining_ = on;
    if (!on) {
        return;
    }
    for (const auto& [key, copy] : copies_) {
        copy->abort();
    }
}

}  // namespace millrace::gateway

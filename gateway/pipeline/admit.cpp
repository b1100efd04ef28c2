#include "gateway/pipeline/admit.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config/syntax.hpp"
#include "gateway/pipeline/heartbeat.hpp"
#include "gateway/runtime/wakeup.hpp"
#include "routing/gate.hpp"
#include "routing/overflow.hpp"

namespace millrace::gateway {
namespace {

using routing::Gate;
using routing::Ticket;

/// Completion tokens of a request that does not bound them, for its share among waiters only.
constexpr std::uint64_t kUsualCompletion = 256;

/// A ticket that a coroutine of one worker waits with.
class Wait final : public Ticket, public std::enable_shared_from_this<Wait> {
public:
    Wait(Loop& loop, const routing::WaitOrder& order, const routing::Selection& selection)
        : Ticket(order, selection), loop_(loop) {}

    void wake() noexcept override {
        loop_.post([self = shared_from_this()] {
            self->is_resolved_ = true;
            Wakeup::notify(&self->wakeup);
        });
    }
    /// The gate has decided: leave() has the outcome.
    bool is_resolved() const { return is_resolved_; }

    Wakeup wakeup;

private:
    Loop& loop_;
    bool is_resolved_ = false;
};

std::uint64_t estimated_tokens(const Request& request, const BackendRuntime& backend) {
    const auto prompt = static_cast<std::uint64_t>(
        static_cast<float>(request.body.size()) *
        backend.learned->tokens_per_byte.load(std::memory_order_relaxed));
    std::uint64_t completion = 0;
    if (request.fields && request.surface->is_generation) {
        const auto& fields = *request.fields;
        const auto asked =
            fields.max_completion_tokens ? fields.max_completion_tokens : fields.max_tokens;
        completion = std::min(asked.value_or(kUsualCompletion), kUsualCompletion * 64);
    }
    return std::max<std::uint64_t>(1, prompt + completion);
}

routing::WaitOrder order_of(const RequestScope& scope, const Request& request,
                            const Resolved& resolved, const BackendRuntime& backend) {
    const auto& tenants = scope.config().tenants;
    const auto found = tenants.find(std::string(scope.principal.tenant));
    const auto tenant = found == tenants.end() ? config::Tenant{} : found->second;
    const auto* model = resolved.decision.rule->model;
    routing::WaitOrder order;
    order.priority = tenant.priority > 0 ? tenant.priority
                     : model != nullptr  ? model->priority
                                         : config::Model{}.priority;
    order.priority = lowered_priority(order.priority, scope.exchange.head.fields.all());
    order.tenant = scope.principal.tenant_metric;
    order.weight = tenant.weight;
    order.cost = estimated_tokens(request, backend);
    order.bytes = request.body.size();
    return order;
}

/// For the heartbeat.
std::string_view state_of(const routing::EndpointSet& endpoints) {
    return endpoints.ready() ? "queued" : endpoints.endpoints.empty() ? "asleep" : "starting";
}

/// The sentences of a request that could not wait, or waited in vain.
class Refusals {
public:
    Refusals(const routing::Target& target, const config::Queue& queue,
             const routing::EndpointSet& endpoints)
        : name_("backend \"" + target.backend_name + "\""), queue_(queue), endpoints_(endpoints) {}

    Error full() const {
        return {Errc::queue_full, Origin::policy,
                "The queue of " + name_ + " has no room: it holds " +
                    std::to_string(queue_.requests) + " requests (queue.requests) of " +
                    std::to_string(queue_.bytes) + " bytes (queue.bytes); try again later."};
    }
    Error late() const {
        if (endpoints_.ready()) {
            return {Errc::queue_timeout, Origin::policy,
                    "Every endpoint of " + name_ + " was busy for " + in_seconds(queue_.timeout) +
                        " (queue.timeout); try again later."};
        }
        if (endpoints_.endpoints.empty()) {
            return {Errc::pool_asleep, Origin::policy,
                    name_ + " has no endpoints and got none within " + in_seconds(queue_.hold) +
                        " (queue.hold); try again later."};
        }
        return {Errc::pool_starting, Origin::policy,
                "No endpoint of " + name_ + " became ready within " + in_seconds(queue_.hold) +
                    " (queue.hold); try again later."};
    }
    Error shed() const {
        return {Errc::shed, Origin::policy,
                "The queue of " + name_ +
                    " is full and a request of higher priority took this one's place; try again "
                    "later."};
    }
    Error gone() const {
        return {Errc::no_ready_endpoint, Origin::policy,
                "The " + name_ + " was removed while the request waited; try again."};
    }
    /// Of one that had to leave the line without a lease.
    Error after(Ticket::State state) const {
        switch (state) {
            case Ticket::State::evicted: return shed();
            case Ticket::State::closed: return gone();
            default: return late();
        }
    }

private:
    static std::string in_seconds(Duration limit) {
        return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) +
               " s";
    }

    std::string name_;
    const config::Queue& queue_;
    const routing::EndpointSet& endpoints_;
};

/// Looks for a free slot of a fallback while a request waits too long.
class Lookout {
public:
    Lookout(RequestScope& scope, const Request& request, const Resolved& resolved, Instant began)
        : scope_(scope), request_(request), began_(began) {
        const auto* model = resolved.matched->model;
        if (model != nullptr && !resolved.fallbacks.empty() &&
            model->overflow.after > Duration(0)) {
            policy_ = model->overflow;
            plan = resolved.fallbacks;
            due_ = began;
        }
    }

    /// When to look next; never for requests that do not overflow.
    Instant due() const { return due_; }
    /// True when `taken` has an endpoint elsewhere.
    bool look(Duration predicted) {
        auto& services = scope_.services;
        const Instant now = services.loop.recent();
        due_ = routing::next_judgement(policy_, began_, now);
        if (routing::overflows(policy_, now - began_, predicted)) {
            taken = plan.take_free(facts_of(scope_, request_), services.endpoints,
                                   services.loop.random());
        }
        return taken.has_value();
    }

    std::optional<routing::FallbackPlan::Taken> taken;
    routing::FallbackPlan plan;  ///< without what was taken

private:
    RequestScope& scope_;
    const Request& request_;
    const Instant began_;
    config::Overflow policy_;
    Instant due_ = Instant::max();
};

/// A request's place in its pool's line, from entering it to leaving it.
class Place {
public:
    Place(RequestScope& scope, const Request& request, Resolved& resolved,
          const routing::Selection& selection)
        : scope_(scope),
          request_(request),
          resolved_(resolved),
          target_(*resolved.decision.target),
          pool_(*target_.pool),
          backend_(scope.snapshot().backend_of(target_)),
          began_(scope.services.loop.now()),
          deadline_(began_ + limit()),
          lookout_(scope, request, resolved, began_) {
        auto order = order_of(scope, request, resolved, backend_);
        order.deadline = deadline_;
        wait_ = std::make_shared<Wait>(scope.services.loop, order, selection);
    }

    /// Error: queue_full.
    Result<void> enter() {
        pool_.waits().waiting(is_ready(), began_);
        entered_ = pool_.gate().enter(wait_);
        if (entered_ == Gate::Entered::full) {
            scope_.retry_after = until_served(pool_.gate().size());
            return std::unexpected(refusals().full());
        }
        return {};
    }

    /// Until the gate has decided, the request is aborted or late, or has a slot elsewhere.
    Task<void> stand() {
        auto& loop = scope_.services.loop;
        Timer timer(Wakeup::notify, &wait_->wakeup);
        const AbortSignal::Listener listener(scope_.exchange.abort, Wakeup::notify, &wait_->wakeup);
        Heartbeat heartbeat(scope_, request_, resolved_);
        while (entered_ == Gate::Entered::waiting && !wait_->is_resolved() &&
               !scope_.exchange.abort && !is_late() && !looks_elsewhere()) {
            if (loop.recent() >= heartbeat.due()) {
                const auto ahead = pool_.gate().position(*wait_);
                co_await heartbeat.beat(state_of(endpoints()), ahead, until_served(ahead));
                continue;  // whatever happened meanwhile is looked at first
            }
            loop.arm(timer, std::min({deadline_, heartbeat.due(), lookout_.due()}));
            co_await wait_->wakeup.next();
        }
    }

    /// Errors: those of a wait in vain.
    Result<routing::Selected> leave() {
        auto left = pool_.gate().leave(*wait_);
        const Instant ended = scope_.services.loop.now();
        auto& waited = scope_.record.queue_wait;
        waited = waited.value_or(Duration(0)) + (ended - began_);
        if (scope_.exchange.abort) {
            return std::unexpected(to_error(scope_.exchange.abort.reason()));
        }
        if (left.state == Ticket::State::granted) {
            pool_.waits().served(ended);
            return std::move(left.selected);
        }
        if (lookout_.taken) {
            resolved_.fallbacks = lookout_.plan;
            resolved_.decision = lookout_.taken->decision;
            scope_.fall_back(resolved_.decision, metrics::FallbackReason::overflow);
            return std::move(lookout_.taken->selected);
        }
        scope_.retry_after = until_served(pool_.gate().size());
        return std::unexpected(refusals().after(left.state));
    }

private:
    const routing::EndpointSet& endpoints() const { return scope_.services.endpoints.of(pool_); }
    bool is_ready() const { return endpoints().ready(); }
    Duration limit() const {
        const auto& queue = backend_.settings->queue;
        return is_ready() ? queue.timeout : std::max(queue.timeout, queue.hold);
    }
    Duration until_served(std::size_t ahead) const {
        return pool_.waits().until_served(ahead, is_ready(), scope_.services.loop.recent());
    }
    bool is_late() {
        if (scope_.services.loop.now() < deadline_) {
            return false;
        }
        // What began as a short wait becomes a hold when the endpoints went away meanwhile.
        deadline_ = began_ + limit();
        return scope_.services.loop.recent() >= deadline_;
    }
    bool looks_elsewhere() {
        return scope_.services.loop.recent() >= lookout_.due() &&
               lookout_.look(until_served(pool_.gate().position(*wait_)));
    }
    Refusals refusals() const { return {target_, backend_.settings->queue, endpoints()}; }

    RequestScope& scope_;
    const Request& request_;
    Resolved& resolved_;
    const routing::Target& target_;  // resolved_ may say another at the end
    const routing::Pool& pool_;
    const BackendRuntime& backend_;
    const Instant began_;
    Instant deadline_;
    Lookout lookout_;
    std::shared_ptr<Wait> wait_;
    Gate::Entered entered_ = Gate::Entered::full;
};

}  // namespace

std::uint32_t lowered_priority(std::uint32_t priority, HeaderFields fields) {
    const auto* field = find_field(fields, "x-millrace-priority");
    const auto wanted = field != nullptr ? config::parse_count(field->value) : std::nullopt;
    return wanted && *wanted < priority ? static_cast<std::uint32_t>(*wanted) : priority;
}

Task<Result<routing::Selected>> wait_for_endpoint(RequestScope& scope, const Request& request,
                                                  Resolved& resolved,
                                                  const routing::Selection& selection) {
    const auto& decision = resolved.decision;
    if (decision.rule->unready == config::Unready::unavailable &&
        !scope.services.endpoints.of(*decision.target->pool).ready()) {
        co_return std::unexpected(routing::not_ready(decision));
    }
    Place place(scope, request, resolved, selection);
    if (auto entered = place.enter(); !entered) {
        co_return std::unexpected(std::move(entered.error()));
    }
    co_await place.stand();
    co_return place.leave();
}

}  // namespace millrace::gateway

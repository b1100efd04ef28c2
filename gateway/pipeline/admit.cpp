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

}  // namespace

std::uint32_t lowered_priority(std::uint32_t priority, HeaderFields fields) {
    const auto* field = find_field(fields, "x-millrace-priority");
    const auto wanted = field != nullptr ? config::parse_count(field->value) : std::nullopt;
    return wanted && *wanted < priority ? static_cast<std::uint32_t>(*wanted) : priority;
}

Task<Result<routing::Selected>> wait_for_endpoint(RequestScope& scope, const Request& request,
                                                  Resolved& resolved,
                                                  const routing::Selection& selection) {
    auto& services = scope.services;
    const auto& target = *resolved.decision.target;
    const auto& pool = *target.pool;
    const auto& backend = scope.snapshot().backend_of(target);
    const auto& queue = backend.settings->queue;
    const auto refusals = [&] { return Refusals(target, queue, services.endpoints.of(pool)); };

    if (resolved.decision.rule->unready == config::Unready::unavailable &&
        !services.endpoints.of(pool).ready()) {
        co_return std::unexpected(routing::not_ready(resolved.decision));
    }
    const Instant began = services.loop.now();
    const auto is_ready = [&] { return services.endpoints.of(pool).ready(); };
    const auto limit = [&] {
        return is_ready() ? queue.timeout : std::max(queue.timeout, queue.hold);
    };
    auto order = order_of(scope, request, resolved, backend);
    order.deadline = began + limit();
    pool.waits().waiting(is_ready(), began);
    const auto wait = std::make_shared<Wait>(services.loop, order, selection);
    Timer timer(Wakeup::notify, &wait->wakeup);
    const AbortSignal::Listener listener(scope.exchange.abort, Wakeup::notify, &wait->wakeup);
    const auto estimate = [&](std::size_t ahead) {
        return pool.waits().until_served(ahead, is_ready(), services.loop.recent());
    };
    const auto entered = pool.gate().enter(wait);
    if (entered == Gate::Entered::full) {
        scope.retry_after = estimate(pool.gate().size());
        co_return std::unexpected(refusals().full());
    }
    Heartbeat heartbeat(scope, request, resolved);
    Lookout lookout(scope, request, resolved, began);
    Instant deadline = order.deadline;
    while (entered == Gate::Entered::waiting && !wait->is_resolved() && !scope.exchange.abort) {
        if (services.loop.now() >= deadline) {
            // What began as a short wait becomes a hold when the endpoints went away meanwhile.
            deadline = began + limit();
            if (services.loop.recent() >= deadline) {
                break;
            }
        }
        if (services.loop.recent() >= lookout.due() &&
            lookout.look(estimate(pool.gate().position(*wait)))) {
            break;
        }
        if (services.loop.recent() >= heartbeat.due()) {
            const auto ahead = pool.gate().position(*wait);
            co_await heartbeat.beat(state_of(services.endpoints.of(pool)), ahead, estimate(ahead));
            continue;  // whatever happened meanwhile is looked at first
        }
        services.loop.arm(timer, std::min({deadline, heartbeat.due(), lookout.due()}));
        co_await wait->wakeup.next();
    }
    auto left = pool.gate().leave(*wait);
    const Instant ended = services.loop.now();
    scope.record.queue_wait = scope.record.queue_wait.value_or(Duration(0)) + (ended - began);
    if (scope.exchange.abort) {
        co_return std::unexpected(to_error(scope.exchange.abort.reason()));
    }
    if (left.state == Ticket::State::granted) {
        pool.waits().served(ended);
        co_return std::move(left.selected);
    }
    if (lookout.taken) {
        resolved.fallbacks = lookout.plan;
        resolved.decision = lookout.taken->decision;
        scope.fall_back(resolved.decision, metrics::FallbackReason::overflow);
        co_return std::move(lookout.taken->selected);
    }
    scope.retry_after = estimate(pool.gate().size());
    co_return std::unexpected(refusals().after(left.state));
}

}  // namespace millrace::gateway

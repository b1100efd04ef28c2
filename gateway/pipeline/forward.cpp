#include "gateway/pipeline/forward.hpp"

#include <algorithm>
#include <utility>

#include "gateway/pipeline/admit.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/pipeline/upstream_request.hpp"
#include "routing/retry.hpp"

namespace millrace::gateway {
namespace {

using metrics::RetryReason;

/// An error answer is buffered up to this size when it may be about an option that the gateway
/// added.
constexpr std::size_t kBufferedError = std::size_t{64} * 1024;

routing::RepeatFacts repeat_facts(const RequestScope& scope, const Request& request) {
    routing::RepeatFacts facts;
    facts.method = scope.record.method.view();
    facts.api_path = request.surface != nullptr;
    if (request.fields) {
        facts.store = request.fields->store.value_or(false);
        facts.background = request.fields->background;
        facts.previous_response_id = request.fields->previous_response_id.has_value();
    }
    return facts;
}

AttemptOptions options_for(const RequestScope& scope, const Request& request,
                           const Resolved& resolved, const BackendRuntime& backend) {
    AttemptOptions options;
    options.timeouts = backend.settings->timeouts;
    options.is_stream = request.is_stream();
    options.is_head = scope.record.method.view() == "HEAD";
    const auto& rule = *resolved.decision.rule;
    const Instant now = scope.services.loop.recent();
    const auto bound = [&options](Instant from, Duration limit) {
        if (limit > Duration(0) && from + limit < options.total_deadline) {
            options.total_deadline = from + limit;
            options.total_limit = limit;
        }
    };
    bound(scope.exchange.started, rule.request_timeout);
    bound(now, rule.backend_request_timeout);
    bound(now, options.timeouts.total);
    return options;
}

/// Connects and sends, then reads the response head.
Task<Result<void>> exchange_heads(RequestScope& scope, const Request& request,
                                  const Resolved& resolved, Answer& answer) {
    auto& attempt = *answer.attempt;
    if (auto connected = co_await attempt.connect(*answer.endpoint, *answer.backend); !connected) {
        co_return connected;
    }
    answer.asked = usage_for(request, *answer.backend);
    answer.edit = edit_for(request, resolved.decision, answer.asked);
    write_upstream_request(scope, request, resolved.decision, *answer.endpoint, *answer.backend,
                           answer.edit, *answer.scratch);
    if (auto sent = co_await attempt.send(answer.scratch->request); !sent) {
        co_return sent;
    }
    answer.sent_at = scope.services.loop.now();
    if (auto head = co_await attempt.read_head(); !head) {
        co_return head;
    }
    answer.head_at = scope.services.loop.recent();
    scope.record.attempts.last()->status = static_cast<std::uint16_t>(attempt.head().status);
    co_return Result<void>{};
}

/// Reads until the first complete event, so that an error in it can still become a status.
Task<Result<void>> look_at_first_event(Answer& answer) {
    auto& scratch = *answer.scratch;
    scratch.out.clear();
    answer.attempt->keep_head(scratch.head);
    while (!answer.complete && scratch.out.empty() && answer.filter->facts().events == 0) {
        if (auto read = co_await read_events(answer); !read) {
            co_return read;
        }
    }
    co_return Result<void>{};
}

/// True when the backend's 400 is about the usage option that the gateway added. The body is kept
/// in `held`.
Task<Result<bool>> refuses_usage_option(Answer& answer) {
    auto& scratch = *answer.scratch;
    answer.attempt->keep_head(scratch.head);
    while (!answer.complete && answer.held.size() < kBufferedError) {
        const auto progress = co_await answer.attempt->read(scratch.body);
        if (!progress) {
            co_return std::unexpected(progress.error());
        }
        for (const auto piece : scratch.body) {
            answer.held += piece;
        }
        answer.complete = *progress == BodyProgress::complete;
    }
    co_return answer.held.find("continuous_usage_stats") != std::string::npos;
}

/// One attempt up to the point where the answer can be relayed; true = make it again without the
/// usage option.
Task<Result<bool>> make_attempt(RequestScope& scope, const Request& request,
                                const Resolved& resolved, Answer& answer) {
    if (auto heads = co_await exchange_heads(scope, request, resolved, answer); !heads) {
        co_return std::unexpected(std::move(heads.error()));
    }
    const auto& head = answer.attempt->head();
    if (head.status == 400 && answer.asked.continuous &&
        answer.backend->settings->usage.continuous == config::ContinuousUsage::automatic) {
        const auto refused = co_await refuses_usage_option(answer);
        co_return refused;
    }
    if (request.surface == nullptr || head.status >= 300) {
        co_return false;
    }
    answer.dialect = request.surface->dialect;
    if (!head.is_event_stream) {
        answer.usage.emplace(request.surface->dialect);
        co_return false;
    }
    answer.filter.emplace(request.surface->dialect, answer.asked.final_usage
                                                        ? openai::client_usage(*request.fields)
                                                        : openai::ShowUsage::everything);
    if (auto looked = co_await look_at_first_event(answer); !looked) {
        co_return std::unexpected(std::move(looked.error()));
    }
    co_return false;
}

}  // namespace

Task<Result<void>> read_events(Answer& answer) {
    auto& scratch = *answer.scratch;
    const auto progress = co_await answer.attempt->read(scratch.body);
    if (!progress) {
        co_return std::unexpected(progress.error());
    }
    answer.filter->feed(answer.attempt->join(scratch.body), scratch.out);
    if (*progress == BodyProgress::complete) {
        answer.complete = true;
        answer.filter->finish(/*clean=*/true, scratch.out);
    }
    co_return Result<void>{};
}

Task<Result<void>> forward(RequestScope& scope, const Request& request, const Resolved& resolved,
                           Answer& answer) {
    auto& services = scope.services;
    const auto& target = *resolved.decision.target;
    routing::RetryPolicy policy(repeat_facts(scope, request));
    const routing::EndpointState* avoid = nullptr;
    std::shared_ptr<routing::EndpointState> again = resolved.pinned;
    answer.pool = target.pool.get();
    answer.backend = &scope.snapshot().backend_of(target);
    answer.ready_at = services.loop.recent();
    scope.record.queue_wait = Duration(0);
    for (;;) {
        if (again != nullptr) {
            answer.endpoint = routing::EndpointLease(again);
        } else {
            answer.endpoint = routing::pick_endpoint(resolved.decision, services.endpoints,
                                                     services.loop.random(), avoid);
            if (!answer.endpoint) {
                auto waited = co_await wait_for_endpoint(scope, request, resolved, avoid);
                if (!waited) {
                    co_return std::unexpected(std::move(waited.error()));
                }
                answer.endpoint = std::move(*waited);
            }
        }
        auto& record = scope.record.attempts.add();
        record.backend = metrics::BackendId{target.backend_metric};
        record.backend_name = target.backend_name;
        record.endpoint = answer.endpoint->url;
        scope.demand.dispatch();
        answer.attempt.emplace(services.loop, services.upstreams, scope.exchange.abort,
                               options_for(scope, request, resolved, *answer.backend));
        auto outcome = co_await make_attempt(scope, request, resolved, answer);
        if (outcome && !*outcome) {
            co_return Result<void>{};
        }
        if (outcome) {
            answer.backend->learned->refuses_continuous_usage.store(true,
                                                                    std::memory_order_relaxed);
            record_attempt(scope, answer, metrics::AttemptOutcome::ok);
            record.retried = RetryReason::usage_option;
            answer.held.clear();
            answer.complete = false;
        } else {
            record_attempt(scope, answer, attempt_outcome(outcome.error().code));
            const bool reused = answer.attempt->reused();
            const auto verdict =
                policy.after({outcome.error().code, reused, answer.attempt->bytes_read(),
                              /*body_relayed=*/false});
            if (scope.exchange.abort || verdict == routing::RetryPolicy::Verdict::give_up) {
                co_return std::unexpected(std::move(outcome.error()));
            }
            record.retried = reused ? RetryReason::stale_connection : RetryReason::connect_failed;
            avoid = reused ? nullptr : answer.endpoint.get();
        }
        scope.demand.requeue();
        answer.attempt.reset();
        answer.filter.reset();
    }
}

}  // namespace millrace::gateway

#include "gateway/pipeline/race.hpp"

#include <array>
#include <exception>
#include <optional>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/pipeline/await_answer.hpp"
#include "gateway/pipeline/count_tokens.hpp"
#include "gateway/runtime/wakeup.hpp"
#include "routing/hedge.hpp"

namespace millrace::gateway {
namespace {

using metrics::AttemptOutcome;

/// One of the two attempts.
struct Lane {
    Answer& answer;
    AbortSignal& abort;
    Result<bool> outcome = false;
    std::exception_ptr bug = nullptr;
    bool started = false;
    bool done = false;
    bool superseded = false;  // ended because the other one has won

    bool runs() const { return started && !done; }
    /// It has something to relay, or to say, that is not just about its endpoint.
    bool has_won() const {
        return done && !bug && outcome && answer.attempt &&
               (*outcome || !routing::is_about_the_endpoint(error_status(answer)));
    }
};

class Race {
public:
    Race(RequestScope& scope, const Request& request, const Resolved& resolved,
         routing::Selection& selection, Answer& first, Hedge& hedge)
        : scope_(scope),
          request_(request),
          resolved_(resolved),
          selection_(selection),
          hedging_(*resolved.decision.rule->hedging),
          lanes_{Lane{first, *first.abort}, Lane{hedge.second, *hedge.second.abort}} {}

    Task<Raced> run() {
        auto& loop = scope_.services.loop;
        Timer timer(Wakeup::notify, &wakeup_);
        const auto due = late_at();
        bool may_follow = due.has_value();
        start(lanes_[0]);
        for (;;) {
            if (auto* lane = finished(); lane != nullptr) {
                co_return co_await finish(*lane);
            }
            if (may_follow && loop.now() >= *due) {
                may_follow = false;
                follow();
                continue;
            }
            if (may_follow) {
                loop.arm(timer, *due);
            }
            co_await wakeup_.next();
        }
    }

private:
    const config::Hedge& policy() const { return *resolved_.decision.rule->model->hedge; }

    std::optional<Instant> late_at() const {
        const auto delay = routing::hedge_delay(policy(), hedging_.latency(request_.is_stream()));
        return delay ? std::optional(lanes_[0].answer.begun_at + *delay) : std::nullopt;
    }

    Task<void> make(Lane& lane) {
        auto& answer = lane.answer;
        lane.outcome = co_await await_answer(scope_, request_, resolved_, answer);
        if (lane.outcome && !*lane.outcome && answer.filter() &&
            answer.filter()->first_event() != openai::FirstEvent::error) {
            if (auto content = co_await await_content(answer); !content) {
                lane.outcome = std::unexpected(std::move(content.error()));
            }
        }
    }

    void start(Lane& lane) {
        lane.started = true;
        spawn(make(lane), [this, &lane](const std::exception_ptr& bug) {
            lane.bug = bug;
            lane.done = true;
            ++posted_;
            // Not from here: what runs this still stands on the attempt.
            scope_.services.loop.post([this] {
                --posted_;
                Wakeup::notify(&wakeup_);
            });
        });
    }

    /// Begins the second attempt, if there is a free slot and a budget for it.
    void follow() {
        auto& services = scope_.services;
        auto& first = lanes_[0].answer;
        auto& second = lanes_[1].answer;
        if (scope_.exchange.abort || scope_.record.attempts.total() >= metrics::kMaxAttempts) {
            return;
        }
        const auto avoided = selection_.avoid;
        selection_.avoid.add(first.endpoint.get());
        auto selected = routing::pick_endpoint(resolved_.decision, selection_, services.endpoints,
                                               services.loop.random());
        selection_.avoid = avoided;
        if (!selected || selected.lease.get() == first.endpoint.get()) {
            return;
        }
        auto lease = hedging_.budget.take(first.pool->counts().in_flight, policy().budget_percent,
                                          routing::kHedgesAlways);
        if (!lease) {
            return;
        }
        second.retry = std::move(lease);
        begin(scope_, request_, resolved_, selection_, std::move(selected), second);
        start(lanes_[1]);
    }

    /// The lane that decides the race; null while it goes on.
    Lane* finished() {
        for (auto& lane : lanes_) {
            if (lane.has_won()) {
                return &lane;
            }
        }
        for (auto& lane : lanes_) {
            auto& other = &lane == lanes_.data() ? lanes_[1] : lanes_[0];
            if (!lane.done || !lane.answer.attempt) {
                continue;
            }
            if (!other.runs()) {
                return &lane;
            }
            end(lane);  // its slot is for others; the other attempt goes on alone
        }
        return nullptr;
    }

    /// Settles an attempt whose answer nobody gets.
    void end(Lane& lane) {
        const auto outcome = lane.superseded ? AttemptOutcome::superseded
                             : lane.outcome  ? AttemptOutcome::error_status
                                             : attempt_outcome(lane.outcome.error().code);
        record_attempt(scope_, lane.answer, outcome);
        count_unbilled(request_, lane.answer);
        scope_.demand.attempt_ended();
        lane.answer.clear();
    }

    Task<Raced> finish(Lane& winner) {
        auto& loser = &winner == lanes_.data() ? lanes_[1] : lanes_[0];
        loser.superseded = loser.runs() || loser.has_won();
        if (loser.runs()) {
            loser.abort.fire(AbortReason::superseded);
        }
        while (loser.runs() || posted_ > 0) {
            co_await wakeup_.next();
        }
        if (loser.answer.attempt) {
            end(loser);
        }
        for (const auto& lane : lanes_) {
            if (lane.bug) {
                std::rethrow_exception(lane.bug);
            }
        }
        co_return account(winner, loser);
    }

    Raced account(Lane& winner, Lane& loser) {
        auto& services = scope_.services;
        const bool is_stream = request_.is_stream();
        const auto& first = lanes_[0].answer;
        if (winner.outcome && !*winner.outcome && error_status(winner.answer) == 0) {
            // A first attempt that was overtaken was at least as slow as this.
            hedging_.latency(is_stream).observe(services.loop.recent() - first.begun_at);
        }
        const bool hedged = lanes_[1].started;
        if (hedged) {
            const bool second_won = &winner == &lanes_[1];
            services.metrics.variant(scope_.record.variant)
                .hedges[metrics::index_of(second_won ? metrics::HedgeOutcome::won
                                                     : metrics::HedgeOutcome::lost)]
                .add();
            // The latest attempt is the one that the request's account is about.
            auto* const latest = scope_.record.attempts.last();
            MILLRACE_ASSERT(latest != nullptr);
            if (loser.answer.record == latest) {
                std::swap(*latest, *winner.answer.record);
                std::swap(loser.answer.record, winner.answer.record);
            }
        }
        return {&winner.answer, std::move(winner.outcome), hedged};
    }

    RequestScope& scope_;
    const Request& request_;
    const Resolved& resolved_;
    routing::Selection& selection_;
    routing::Hedging& hedging_;
    std::array<Lane, 2> lanes_;
    Wakeup wakeup_;
    std::size_t posted_ = 0;  // notifications on their way
};

}  // namespace

Task<Raced> race(RequestScope& scope, const Request& request, const Resolved& resolved,
                 routing::Selection& selection, Answer& first, Hedge& hedge) {
    Race race(scope, request, resolved, selection, first, hedge);
    co_return co_await race.run();
}

}  // namespace millrace::gateway

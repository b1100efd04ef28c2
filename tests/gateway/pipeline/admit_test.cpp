#include "gateway/pipeline/admit.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "routing/gate.hpp"
#include "tests/gateway/pipeline/live_world.hpp"

namespace millrace::gateway {
namespace {

TEST(LoweredPriority, IsNeverHigherThanConfigured) {
    const auto with = [](std::string_view value) {
        const std::array<HeaderField, 2> fields{HeaderField{"host", "h"},
                                                HeaderField{"X-Millrace-Priority", value}};
        return lowered_priority(100, fields);
    };
    EXPECT_EQ(with("0"), 0U);
    EXPECT_EQ(with("99"), 99U);
    EXPECT_EQ(with("100"), 100U);
    EXPECT_EQ(with("101"), 100U);
    EXPECT_EQ(with("4294967297"), 100U) << "not cut to 32 bits";
    for (const auto* garbage : {"", "-1", "low", "1.5", " 5", "5 ", "05", "99999999999999999999"}) {
        EXPECT_EQ(with(garbage), 100U) << garbage;
    }
    EXPECT_EQ(lowered_priority(100, {}), 100U);
}

using namespace testing_support;

/// Somebody else in line.
class OtherTicket final : public routing::Ticket {
public:
    explicit OtherTicket(const routing::WaitOrder& order) : Ticket(order, selection_) {}
    void wake() noexcept override {}

private:
    routing::Selection selection_;
};

/// One request that waits for an endpoint of "pool", whose endpoints the test makes.
class WaitTest : public LiveTest {
protected:
    /// `endpoints` with a slot each, all of which are taken.
    void begin(std::size_t endpoints) {
        ask(false);
        fill(endpoints);
        wait();
    }
    void fill(std::size_t endpoints) {
        pool().set_limits({1, line, {}});
        set_endpoints(endpoints);
        for (std::size_t i = 0; i < endpoints; ++i) {
            busy.push_back(routing::EndpointLease::try_take(endpoint(i)));
            ASSERT_TRUE(busy.back());
        }
    }
    void wait() {
        began = world.loop.now();
        waiting.emplace(wait_for_endpoint(scope(), request, resolved, selection));
        turns->settle();
    }
    void set_endpoints(std::size_t count) {
        std::vector<routing::EndpointAddress> addresses;
        for (std::size_t i = 0; i < count; ++i) {
            addresses.push_back({"10.0.0.1", static_cast<std::uint16_t>(i + 1), false, {}});
        }
        pool().update(addresses);
    }
    routing::Gate::Entered joins(const routing::WaitOrder& order) {
        others.push_back(std::make_shared<OtherTicket>(order));
        return pool().gate().enter(others.back());
    }
    void TearDown() override {
        for (const auto& other : others) {
            pool().gate().leave(*other);
        }
        text->abort.fire(AbortReason::drain_deadline);
        turns->settle();
        EXPECT_TRUE(!waiting || waiting->done());
    }
    void expect_waits_until(Duration limit, Errc code) {
        turns->pass(began + limit - world.clock.now() - 20ms);
        EXPECT_FALSE(waiting->done()) << "too soon";
        turns->pass(40ms);
        ASSERT_TRUE(waiting->done()) << "too late";
        expect_error(code);
    }
    void expect_error(Errc code) {
        auto result = turns->finish(*waiting);
        ASSERT_FALSE(result);
        EXPECT_EQ(to_string(result.error().code), to_string(code)) << result.error().detail;
        detail = result.error().detail;
        EXPECT_EQ(pool().gate().size(), others.size()) << "it has left the line";
    }
    bool is_in_line() { return !waiting->done() && pool().gate().size() == 1 + others.size(); }

    routing::LineLimits line;
    routing::Selection selection;
    std::vector<routing::EndpointLease> busy;
    std::vector<std::shared_ptr<OtherTicket>> others;
    std::optional<Pending<Result<routing::Selected>>> waiting;
    Instant began;
    std::string detail;
};

TEST_F(WaitTest, EndsWithTheSlotThatIsGivenBack) {
    begin(2);
    EXPECT_TRUE(is_in_line());
    turns->pass(7s);
    busy[1].release();
    auto selected = turns->finish(*waiting);
    ASSERT_TRUE(selected);
    EXPECT_EQ(selected->lease.get(), endpoint(1).get());
    EXPECT_EQ(scope().record.queue_wait, 7s);
    EXPECT_EQ(pool().gate().size(), 0U);
}

TEST_F(WaitTest, EndsWithTheEndpointThatAppears) {
    begin(0);
    turns->pass(200s);
    EXPECT_TRUE(is_in_line());
    set_endpoints(1);
    EXPECT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(scope().record.queue_wait, 200s);
}

TEST_F(WaitTest, AddsUpOverSeveralWaits) {
    begin(1);
    scope().record.queue_wait = 5s;
    turns->pass(7s);
    busy[0].release();
    ASSERT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(scope().record.queue_wait, 12s);
}

TEST_F(WaitTest, TeachesHowLongTheNextOnesWillWait) {
    begin(1);
    const auto wait = [this](bool ready) {
        return pool().waits().until_served(0, ready, world.clock.now());
    };
    EXPECT_EQ(wait(true), routing::WaitEstimate::kUnknownService);
    busy[0].release();
    ASSERT_TRUE(turns->finish(*waiting));
    EXPECT_NEAR(seconds(wait(true)), 30, 1e-6) << "one in half a minute";

    begin(0);
    turns->pass(40s);
    set_endpoints(1);
    ASSERT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(wait(false), 40s) << "a cold start";
}

// Deadlines: `timeout` while endpoints are busy, `hold` while none is ready.

TEST_F(WaitTest, OfBusyEndpointsEndsWithTheTimeout) {
    pool_settings().queue = {.timeout = 20s, .hold = 90s};
    begin(1);
    expect_waits_until(20s, Errc::queue_timeout);
    EXPECT_NE(detail.find("20 s (queue.timeout)"), std::string::npos) << detail;
    EXPECT_EQ(scope().record.queue_wait.value_or(0s) / 1s, 20);
    EXPECT_TRUE(scope().retry_after);
}

TEST_F(WaitTest, OfAnEmptyPoolEndsWithTheHold) {
    pool_settings().queue = {.timeout = 20s, .hold = 90s};
    begin(0);
    expect_waits_until(90s, Errc::pool_asleep);
    EXPECT_NE(detail.find("90 s (queue.hold)"), std::string::npos) << detail;
    ASSERT_TRUE(scope().retry_after);
    EXPECT_EQ(*scope().retry_after, 1s) << "the usual cold start is over";
}

TEST_F(WaitTest, OfEndpointsThatAreNotReadyEndsWithTheHold) {
    pool_settings().queue = {.timeout = 20s, .hold = 90s};
    ask(false);
    set_endpoints(1);
    pool().set_draining(true);
    wait();
    expect_waits_until(90s, Errc::pool_starting);
}

TEST_F(WaitTest, IsHeldAtLeastForTheTimeout) {
    pool_settings().queue = {.timeout = 20s, .hold = 0s};
    begin(0);
    expect_waits_until(20s, Errc::pool_asleep);
}

TEST_F(WaitTest, BecomesAHoldWhenTheEndpointsGoAway) {
    pool_settings().queue = {.timeout = 20s, .hold = 90s};
    begin(1);
    turns->pass(10s);
    set_endpoints(0);
    turns->settle();
    expect_waits_until(90s, Errc::pool_asleep);
}

TEST_F(WaitTest, IsNoneForModelsThatSayUnavailable) {
    model().unready = config::Unready::unavailable;
    begin(1);
    EXPECT_TRUE(is_in_line()) << "busy is not unready";
    busy[0].release();
    ASSERT_TRUE(turns->finish(*waiting));
    set_endpoints(0);
    wait();
    ASSERT_TRUE(waiting->done());
    expect_error(Errc::no_ready_endpoint);
}

// Other ends.

TEST_F(WaitTest, EndsWithTheRequest) {
    begin(1);
    turns->pass(3s);
    text->abort.fire(AbortReason::client_closed);
    expect_error(Errc::client_closed);
    EXPECT_EQ(scope().record.queue_wait, 3s);
}

TEST_F(WaitTest, GivesBackASlotThatCameWithTheAbort) {
    begin(1);
    busy[0].release();
    text->abort.fire(AbortReason::drain_deadline);
    expect_error(Errc::drain_deadline);
    EXPECT_EQ(pool().counts().in_flight, 0U);
}

TEST_F(WaitTest, EndsWithThePool) {
    begin(1);
    pool().gate().set_endpoints(nullptr);
    expect_error(Errc::no_ready_endpoint);
    EXPECT_NE(detail.find("was removed"), std::string::npos) << detail;
}

TEST_F(WaitTest, IsRefusedAtOnceWithoutRoom) {
    line.requests = 1;
    ask(false);
    fill(1);
    joins({.priority = 100});
    wait();
    ASSERT_TRUE(waiting->done());
    expect_error(Errc::queue_full);
    EXPECT_TRUE(scope().retry_after);
    EXPECT_FALSE(scope().record.queue_wait) << "it has not waited";
}

TEST_F(WaitTest, IsRefusedForItsBytes) {
    ask(false);
    line.bytes = body.size() - 1;
    fill(1);
    wait();
    ASSERT_TRUE(waiting->done());
    expect_error(Errc::queue_full);
}

TEST_F(WaitTest, FitsWithExactlyItsBytes) {
    ask(false);
    line.bytes = body.size();
    fill(1);
    wait();
    EXPECT_TRUE(is_in_line());
    busy[0].release();
    EXPECT_TRUE(turns->finish(*waiting));
}

// Whose place is whose: a full line, and somebody with a priority of their own.

TEST_F(WaitTest, GivesItsPlaceToAHigherPriority) {
    line.requests = 1;
    begin(1);
    EXPECT_EQ(joins({.priority = 101}), routing::Gate::Entered::waiting);
    turns->settle();
    expect_error(Errc::shed);
}

TEST_F(WaitTest, KeepsItsPlaceAgainstItsOwnPriority) {
    line.requests = 1;
    begin(1);
    EXPECT_EQ(joins({.priority = 100}), routing::Gate::Entered::full);
    others.clear();
    EXPECT_TRUE(is_in_line());
    busy[0].release();
    EXPECT_TRUE(turns->finish(*waiting));
}

TEST_F(WaitTest, HasThePriorityOfItsModel) {
    line.requests = 1;
    model().priority = 7;
    begin(1);
    EXPECT_EQ(joins({.priority = 8}), routing::Gate::Entered::waiting);
    turns->settle();
    expect_error(Errc::shed);
}

TEST_F(WaitTest, HasThePriorityOfItsTenantInstead) {
    line.requests = 1;
    model().priority = 7;
    world.config.tenants["acme"].priority = 50;
    ask(false);
    scope().principal.tenant = "acme";
    fill(1);
    wait();
    EXPECT_EQ(joins({.priority = 50}), routing::Gate::Entered::full);
    others.clear();
    EXPECT_EQ(joins({.priority = 51}), routing::Gate::Entered::waiting);
    turns->settle();
    expect_error(Errc::shed);
}

TEST_F(WaitTest, MayPutItselfBehindOthers) {
    line.requests = 1;
    extra_head = "X-Millrace-Priority: 5\r\n";
    begin(1);
    EXPECT_EQ(joins({.priority = 6}), routing::Gate::Entered::waiting);
    turns->settle();
    expect_error(Errc::shed);
}

TEST_F(WaitTest, TakesItsTurnByDeadline) {
    pool_settings().queue.timeout = 20s;
    begin(1);
    joins({.priority = 100, .deadline = began + 10s});
    EXPECT_EQ(pool().gate().position(*others[0]), 0U) << "it has less time left";
    busy[0].release();
    turns->settle();
    EXPECT_FALSE(waiting->done());
}

TEST_F(WaitTest, CostsWhatItWillTakeOfTheEngine) {
    // Of two tenants the one that took less goes first, so the position shows the cost.
    const auto goes_before = [this](std::string_view more_fields, std::uint64_t cost) {
        waiting.reset();
        others.clear();
        busy.clear();
        ask(false, more_fields);
        scope().principal.tenant_metric = 1;
        fill(1);
        // Two of each tenant: the second one starts when the first one's cost is paid.
        joins({.priority = 100, .tenant = 2, .cost = cost, .deadline = Instant{}});
        joins({.priority = 100, .tenant = 2, .cost = cost, .deadline = Instant{} + 1s});
        wait();
        joins({.priority = 100, .tenant = 1, .cost = 1});
        const bool before = pool().gate().position(*others[2]) < pool().gate().position(*others[1]);
        text->abort.fire(AbortReason::client_closed);
        turns->settle();
        for (const auto& other : others) {
            pool().gate().leave(*other);
        }
        others.clear();
        return before;
    };
    // 0.25 tokens per byte of the body, and the completion: as bounded, or 256.
    const auto prompt = [this] { return body.size() / 4; };
    goes_before("", 1);
    const auto usual = prompt() + 256;
    EXPECT_TRUE(goes_before("", usual + 1));
    EXPECT_FALSE(goes_before("", usual - 1));
    goes_before(R"(,"max_tokens":10)", 1);
    EXPECT_TRUE(goes_before(R"(,"max_tokens":10)", prompt() + 11));
    EXPECT_FALSE(goes_before(R"(,"max_tokens":10)", prompt() + 9));
    goes_before(R"(,"max_tokens":10,"max_completion_tokens":20)", 1);
    EXPECT_TRUE(goes_before(R"(,"max_tokens":10,"max_completion_tokens":20)", prompt() + 21));
    EXPECT_FALSE(goes_before(R"(,"max_tokens":10,"max_completion_tokens":20)", prompt() + 19));
    goes_before(R"(,"max_tokens":99999999)", 1);
    EXPECT_TRUE(goes_before(R"(,"max_tokens":99999999)", prompt() + 256 * 64 + 1));
}

// Overflow: a request that would wait too long takes a free slot of a fallback.

class OverflowTest : public WaitTest {
protected:
    OverflowTest() {
        model().fallback = {{"n", {}}};
        model().overflow.after = 5s;
        world.config.backends["other"];
        world.config.models.push_back(
            routing::testing::model("n", {routing::testing::variant("w", 1, "other", "n")}));
    }
    routing::Pool& other_pool() { return *world.state.pools.find("other"); }
};

TEST_F(OverflowTest, LeavesForAFreeSlotWhenItHasWaitedTooLong) {
    begin(1);
    EXPECT_TRUE(is_in_line()) << "2 s are predicted";
    turns->pass(2900ms);
    EXPECT_TRUE(is_in_line());
    turns->pass(600ms);
    auto selected = turns->finish(*waiting);
    ASSERT_TRUE(selected);
    EXPECT_EQ(resolved.decision.target->backend_name, "other");
    EXPECT_EQ(scope().record.model_name.view(), "n");
    EXPECT_EQ(scope().record.requested_model, "m");
    EXPECT_EQ(pool().gate().size(), 0U);
    EXPECT_EQ(other_pool().counts().in_flight, 1U);
    EXPECT_TRUE(
        resolved.fallbacks.empty() ||
        !resolved.fallbacks.next(facts_of(scope(), request), world.endpoints, world.loop.random()))
        << "it does not go there again";
}

TEST_F(OverflowTest, LeavesAtOnceWhenTheLineIsTooLong) {
    model().overflow.after = 1s;
    begin(1);
    EXPECT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(resolved.decision.target->backend_name, "other");
}

TEST_F(OverflowTest, StaysInLineWithoutAFreeSlotElsewhereAndLooksAgain) {
    ask(false);
    other_pool().set_limits({1, {}, {}});
    auto taken =
        routing::EndpointLease::try_take(world.endpoints.of(other_pool()).endpoints.front());
    ASSERT_TRUE(taken);
    fill(1);
    wait();
    turns->pass(10s);
    EXPECT_TRUE(is_in_line());
    taken.release();
    turns->pass(600ms);
    EXPECT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(resolved.decision.target->backend_name, "other");
}

TEST_F(OverflowTest, TakesItsOwnPoolsSlotIfThatComesFirst) {
    begin(1);
    turns->pass(1s);
    busy[0].release();
    EXPECT_TRUE(turns->finish(*waiting));
    EXPECT_EQ(resolved.decision.target->backend_name, "pool");
    EXPECT_EQ(scope().record.model_name.view(), "m");
}

TEST_F(OverflowTest, IsOnlyForModelsThatAskForIt) {
    model().overflow.after = 0s;
    pool_settings().queue.timeout = 20s;
    begin(1);
    expect_waits_until(20s, Errc::queue_timeout);
}

}  // namespace
}  // namespace millrace::gateway

#include "metrics/demand.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "config/base/random.hpp"
#include "metrics/registry.hpp"

namespace millrace::metrics {
namespace {

class Demand : public ::testing::Test {
protected:
    DemandCounts counts() {
        const ModelDemand demand = registry_.demand("llama", cursor_);
        EXPECT_EQ(demand.load, demand.queued + demand.in_flight);
        return {demand.queued, demand.in_flight, demand.pending};
    }

    Registry registry_{2};
    VariantId stable_ = registry_.intern_variant("llama", "stable", "ai");
    VariantId canary_ = registry_.intern_variant("llama", "canary", "ai");
    DemandCursor cursor_;
};

using Counts = DemandCounts;

TEST_F(Demand, FollowsARequestFromTheQueueToItsEnd) {
    {
        DemandTicket ticket(registry_.slot(0), stable_);
        EXPECT_EQ(counts(), (Counts{.queued = 1, .in_flight = 0, .pending = 1}));
        ticket.dispatch();
        EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 1, .pending = 1}));
        ticket.first_content();
        EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 1, .pending = 0}));
    }
    EXPECT_EQ(counts(), Counts{});
}

TEST_F(Demand, QueuesAgainForARetry) {
    DemandTicket ticket(registry_.slot(0), stable_);
    ticket.dispatch();
    ticket.requeue();
    EXPECT_EQ(counts(), (Counts{.queued = 1, .in_flight = 0, .pending = 1}));
    ticket.dispatch();
    EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 1, .pending = 1}));
    ticket.finish();
    ticket.finish();
    EXPECT_EQ(counts(), Counts{});
}

TEST_F(Demand, CountsEveryLiveAttempt) {
    DemandTicket ticket(registry_.slot(0), stable_);
    ticket.dispatch();
    ticket.dispatch();
    EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 2, .pending = 2}));
    ticket.first_content();
    EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 2, .pending = 0}));
    ticket.attempt_ended();
    EXPECT_EQ(counts(), (Counts{.queued = 0, .in_flight = 1, .pending = 0}));
}

TEST_F(Demand, IsTakenBackFromEveryStateByTheDestructor) {
    for (int state = 0; state < 4; ++state) {
        {
            DemandTicket ticket(registry_.slot(0), stable_);
            if (state > 0) {
                ticket.dispatch();
            }
            if (state == 2) {
                ticket.first_content();
            }
            if (state == 3) {
                ticket.requeue();
            }
        }
        EXPECT_EQ(counts(), Counts{}) << state;
    }
}

TEST_F(Demand, MovesWithTheTicket) {
    DemandTicket ticket(registry_.slot(0), stable_);
    DemandTicket other = std::move(ticket);
    EXPECT_FALSE(ticket.active());  // NOLINT(bugprone-use-after-move): that is what is tested
    ticket.dispatch();
    EXPECT_EQ(counts(), (Counts{.queued = 1, .in_flight = 0, .pending = 1}));
    other = DemandTicket(registry_.slot(0), stable_);
    EXPECT_EQ(counts(), (Counts{.queued = 1, .in_flight = 0, .pending = 1}));
}

TEST_F(Demand, FollowsARequestThatIsDrawnAgain) {
    const VariantId elsewhere = registry_.intern_variant("qwen", "stable", "ai");
    DemandTicket ticket(registry_.slot(0), stable_);
    ticket.move_to(registry_.slot(0), canary_);
    EXPECT_EQ(counts(), (Counts{.queued = 1, .in_flight = 0, .pending = 1}));
    ticket.move_to(registry_.slot(0), elsewhere);
    EXPECT_EQ(counts(), Counts{});
    EXPECT_EQ(registry_.demand("qwen").load, 1U);
    ticket.finish();
    EXPECT_EQ(registry_.demand("qwen").load, 0U);
}

TEST_F(Demand, LatchesARequestThatCameAndWentBetweenTwoLooks) {
    DemandCursor push;
    EXPECT_FALSE(registry_.demand("llama").active);
    EXPECT_FALSE(registry_.demand("llama", push).active);
    DemandTicket(registry_.slot(1), canary_).finish();
    EXPECT_TRUE(registry_.demand("llama").active);
    EXPECT_FALSE(registry_.demand("llama").active) << "the latch is consumed by the look";
    EXPECT_TRUE(registry_.demand("llama", push).active) << "each cursor has its own latch";
    EXPECT_FALSE(registry_.demand("llama", push).active);
}

TEST_F(Demand, IsActiveAtEveryLookWhileThereIsLoad) {
    const DemandTicket ticket(registry_.slot(0), stable_);
    for (int look = 0; look < 3; ++look) {
        EXPECT_TRUE(registry_.demand("llama").active);
    }
}

TEST_F(Demand, IsZeroForAModelThatNobodyKnows) {
    EXPECT_EQ(registry_.demand("unheard-of"), ModelDemand{});
    EXPECT_EQ(registry_.demand("unheard-of", cursor_), ModelDemand{});
}

TEST_F(Demand, IsWrittenAsTheMetricsApiScalerReadsIt) {
    EXPECT_EQ(scaling_json({.load = 12, .pending = 7, .queued = 5, .in_flight = 7, .active = true}),
              R"({"value": 12, "pending": 7, "queued": 5, "in_flight": 7})");
    EXPECT_EQ(scaling_json({}), R"({"value": 0, "pending": 0, "queued": 0, "in_flight": 0})");
}

/// What SEMANTICS says about one request, kept apart from the implementation.
struct Reference {
    std::optional<DemandTicket> ticket;
    bool queued = true;
    std::uint64_t live = 0;
    bool content = false;

    Counts expected() const {
        return {.queued = queued ? 1U : 0U,
                .in_flight = live,
                .pending = (queued ? 1U : 0U) + (content ? 0 : live)};
    }
};

void step(Reference& request, Random& random) {
    switch (random.below(5)) {
        case 0:
            request.ticket->dispatch();
            request.queued = false;
            ++request.live;
            break;
        case 1:
            request.ticket->first_content();
            request.content = true;
            break;
        case 2:
            if (request.live > 1) {
                request.ticket->attempt_ended();
                --request.live;
            }
            break;
        case 3:
            request.ticket->requeue();
            request.queued = true;
            request.live = 0;
            request.content = false;
            break;
        default: {  // a move of the object changes nothing
            DemandTicket moved = std::move(*request.ticket);
            *request.ticket = std::move(moved);
        }
    }
}

TEST(DemandProperty, GaugesEqualTheLiveRequestsAtEveryStepAndAreZeroAtTheEnd) {
    constexpr std::size_t kSlots = 3;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Random random(seed);
        Registry registry(kSlots);
        const std::vector<VariantId> variants{registry.intern_variant("m", "a", "ns"),
                                              registry.intern_variant("m", "b", "ns")};
        std::vector<Reference> live;
        DemandCursor cursor;
        for (int i = 0; i < 1500; ++i) {
            const auto action = random.below(4);
            if (live.empty() || action == 0) {
                Slot& slot = registry.slot(random.below(kSlots));
                live.push_back({.ticket = DemandTicket(slot, variants[random.below(2)])});
            } else if (action == 1) {
                const std::size_t victim = random.below(static_cast<std::uint32_t>(live.size()));
                std::swap(live[victim], live.back());
                live.pop_back();
            } else {
                step(live[random.below(static_cast<std::uint32_t>(live.size()))], random);
            }
            Counts expected;
            for (const Reference& request : live) {
                expected += request.expected();
            }
            const ModelDemand seen = registry.demand("m", cursor);
            ASSERT_EQ((Counts{seen.queued, seen.in_flight, seen.pending}), expected)
                << "seed " << seed << " step " << i;
        }
        live.clear();
        const ModelDemand end = registry.demand("m", cursor);
        ASSERT_EQ(end.load + end.pending, 0U);
    }
}

}  // namespace
}  // namespace millrace::metrics

#include "bench/vllm_sim/faults.hpp"

#include <gtest/gtest.h>

namespace millrace::vllm_sim {
namespace {

TEST(Faults, ReadsEveryForm) {
    struct Case {
        std::string_view text;
        FaultKind kind;
        FaultPlace place;
        std::uint64_t at;
        std::uint32_t value;
        std::uint32_t retry_after;
    };
    for (const Case& c :
         {Case{"", FaultKind::none, FaultPlace::start, 0, 0, 0},
          Case{"die", FaultKind::die, FaultPlace::start, 0, 0, 0},
          Case{"rst@head", FaultKind::rst, FaultPlace::head, 0, 0, 0},
          Case{"stall@tokens=3", FaultKind::stall, FaultPlace::tokens, 3, 0, 0},
          Case{"die@bytes=120", FaultKind::die, FaultPlace::bytes, 120, 0, 0},
          Case{"error-event", FaultKind::error_event, FaultPlace::tokens, 0, 0, 0},
          Case{"status=503,retry-after=4", FaultKind::status, FaultPlace::start, 0, 503, 4},
          Case{"slow-head=20", FaultKind::slow_head, FaultPlace::start, 0, 20, 0},
          Case{"lf-head", FaultKind::lf_head, FaultPlace::start, 0, 0, 0}}) {
        const auto fault = parse_fault(c.text);
        ASSERT_TRUE(fault) << c.text;
        EXPECT_EQ(fault->kind, c.kind) << c.text;
        EXPECT_EQ(fault->place, c.place) << c.text;
        EXPECT_EQ(fault->at, c.at) << c.text;
        EXPECT_EQ(fault->value, c.value) << c.text;
        EXPECT_EQ(fault->retry_after, c.retry_after) << c.text;
    }
}

TEST(Faults, RefusesWhatItDoesNotKnow) {
    for (const char* const text : {"explode", "die@noon", "die@tokens", "die@tokens=x", "status",
                                   "status=x", "die=3", "status=503,later=1", "slow-head"}) {
        EXPECT_FALSE(parse_fault(text)) << text;
    }
}

TEST(Faults, PlanStrikesEveryNthRequestUntilItsCountIsUsedUp) {
    FaultPlan plan;
    EXPECT_EQ(plan.next().kind, FaultKind::none);
    plan.set({.kind = FaultKind::die}, 3, 2);
    std::string seen;
    for (int i = 0; i < 12; ++i) {
        seen += plan.next().kind == FaultKind::die ? 'x' : '.';
    }
    EXPECT_EQ(seen, "..x..x......");
    plan.set({}, 1, 100);
    EXPECT_EQ(plan.next().kind, FaultKind::none);
}

}  // namespace
}  // namespace millrace::vllm_sim

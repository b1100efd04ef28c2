#include "routing/choice.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <vector>

#include "routing/affinity.hpp"

namespace millrace::routing {
namespace {

using Candidates = std::vector<Candidate>;

constexpr double kNoGuard = std::numeric_limits<double>::infinity();
const Policy kLeast{};
const Policy kLoadAware{.stages = {Stage::load_aware}};
const Policy kPrefix{.stages = {Stage::prefix_affinity}, .guard = 1.25};
const Policy kSession{.stages = {Stage::session_affinity}, .guard = 1.25};
const Policy kLora{.stages = {Stage::lora_affinity}, .guard = 1.25};

/// The only choice that `choose` makes in 200 draws; fails when there are several.
std::optional<Choice> sure(const Candidates& candidates, const PickRequest& request,
                           const Policy& policy) {
    Random random(3);
    const auto first = choose(candidates, request, policy, random);
    for (int i = 0; i < 200; ++i) {
        EXPECT_EQ(choose(candidates, request, policy, random), first);
    }
    return first;
}

/// How often each was chosen in 8000 draws.
std::vector<int> counts_of(const Candidates& candidates, const PickRequest& request,
                           const Policy& policy) {
    Random random(3);
    std::vector<int> counts(candidates.size());
    for (int i = 0; i < 8000; ++i) {
        ++counts[choose(candidates, request, policy, random)->index];
    }
    return counts;
}

/// A key whose session belongs to that one of the candidates when nothing is loaded.
std::uint64_t key_of(const Candidates& candidates, std::size_t owner) {
    for (std::uint64_t key = 1;; ++key) {
        const auto theirs = [key](const Candidate& c) { return session_affinity(key, c.identity); };
        if (std::ranges::max_element(candidates, {}, theirs) - candidates.begin() ==
            static_cast<std::ptrdiff_t>(owner)) {
            return key;
        }
    }
}

TEST(Choose, FindsNobodyWhenAllAreAtTheirSlots) {
    Random random(1);
    EXPECT_FALSE(choose({}, {}, kLeast, random));
    const Candidates full{{.in_flight = 2, .slots = 2}, {.in_flight = 9, .slots = 8}};
    for (const auto& policy : {kLeast, kLoadAware, kPrefix, kSession, kLora}) {
        EXPECT_FALSE(choose(full, {.session_key = 1, .wants_adapter = true}, policy, random));
    }
}

TEST(Choose, NeverTakesOneAtItsSlots) {
    Random random(1);
    for (int round = 0; round < 2000; ++round) {
        Candidates candidates(1 + random.below(6));
        for (auto& c : candidates) {
            c = {.identity = random(),
                 .in_flight = random.below(5),
                 .slots = random.below(5),
                 .matched_tokens = random.below(3) * 500,
                 .has_adapter = random.below(2) == 0,
                 .avoid = random.below(3) == 0};
        }
        const Policy policy{.stages = {Stage::lora_affinity, static_cast<Stage>(random.below(5))}};
        const PickRequest request{
            .prompt_tokens = 1000, .session_key = random(), .wants_adapter = random.below(2) == 0};
        const auto choice = choose(candidates, request, policy, random);
        EXPECT_EQ(choice.has_value(), std::ranges::any_of(candidates, has_room));
        if (choice) {
            EXPECT_TRUE(has_room(candidates[choice->index]));
            EXPECT_TRUE(!candidates[choice->index].avoid ||
                        std::ranges::all_of(candidates,
                                            [](const auto& c) { return c.avoid || !has_room(c); }));
        }
    }
}

TEST(Choose, SaysWhenThereWasOnlyOne) {
    const Candidates candidates{{.in_flight = 4, .slots = 4}, {.in_flight = 3, .slots = 4}};
    EXPECT_EQ(sure(candidates, {}, kPrefix), (Choice{1, Reason::only_one}));
    const Candidates avoided{{.in_flight = 3}, {.avoid = true}};
    EXPECT_EQ(sure(avoided, {}, kLeast), (Choice{0, Reason::only_one}));
    EXPECT_EQ(sure({{.avoid = true}}, {}, kLeast), (Choice{0, Reason::only_one}));
}

TEST(Choose, TakesTheFewestInFlightOfAll) {
    const Candidates candidates{{.in_flight = 4}, {.in_flight = 2}, {.in_flight = 3}};
    EXPECT_EQ(sure(candidates, {}, kLeast), (Choice{1, Reason::least_pending}));
    EXPECT_EQ(sure(candidates, {},
                   {.stages = {Stage::session_affinity, Stage::prefix_affinity,
                               Stage::lora_affinity, Stage::least_pending}}),
              (Choice{1, Reason::least_pending}));
}

TEST(Choose, DecidesEqualsAtRandom) {
    for (const auto& policy : {kLeast, kLoadAware, kPrefix, kLora}) {
        Candidates candidates(4, {.in_flight = 7, .matched_tokens = 5, .has_adapter = true});
        candidates.push_back({.in_flight = 10});
        const auto counts = counts_of(candidates, {.wants_adapter = true}, policy);
        double chi = 0;
        for (std::size_t i = 0; i < 4; ++i) {
            chi += (counts[i] - 2000) * (counts[i] - 2000) / 2000.0;
        }
        EXPECT_LT(chi, 16.27);  // 0.1 % at three degrees of freedom
        EXPECT_EQ(counts[4], 0);
    }
}

TEST(Choose, AvoidsTheFailedUnlessNothingElseHasRoom) {
    Candidates candidates{{.in_flight = 9}, {.avoid = true}, {.in_flight = 8}, {.avoid = true}};
    EXPECT_EQ(sure(candidates, {}, kLeast)->index, 2U);
    candidates[0].slots = 1;
    candidates[2].slots = 1;
    const auto counts = counts_of(candidates, {}, kLeast);
    EXPECT_NEAR(counts[1], 4000, 300);
    EXPECT_EQ(counts[1] + counts[3], 8000);
}

TEST(Choose, SlowStartTakesItsShareOfTheLoad) {
    Random random(1);
    Candidates candidates{{}, {.admission = 0.25F}, {}};
    for (int i = 0; i < 900; ++i) {
        ++candidates[choose(candidates, {}, kLeast, random)->index].in_flight;
    }
    EXPECT_NEAR(candidates[0].in_flight, 400, 2);
    EXPECT_NEAR(candidates[1].in_flight, 100, 2);
    EXPECT_NEAR(candidates[2].in_flight, 400, 2);
}

TEST(Choose, LoadAwareLooksAtTokensWhereLeastPendingLooksAtRequests) {
    const Candidates candidates{{.in_flight = 1, .queued_prompt_tokens = 30'000},
                                {.in_flight = 3, .queued_prompt_tokens = 300}};
    EXPECT_EQ(sure(candidates, {.prompt_tokens = 100}, kLeast)->index, 0U);
    EXPECT_EQ(sure(candidates, {.prompt_tokens = 100}, kLoadAware),
              (Choice{1, Reason::load_aware}));
}

TEST(Choose, LoadAwareSendsMoreToTheFasterOne) {
    const Candidates candidates{{.queued_prompt_tokens = 4000, .prefill_rate = 10'000},
                                {.queued_prompt_tokens = 2000, .prefill_rate = 4000}};
    EXPECT_EQ(sure(candidates, {.prompt_tokens = 1000}, kLoadAware)->index, 0U);
}

TEST(Choose, PrefixWinsUntilTheQueueCostsMoreThanTheWorkIsWorth) {
    const PickRequest request{.prompt_tokens = 8000};
    Candidates candidates{{}, {.in_flight = 1, .matched_tokens = 7000}, {}, {}};
    EXPECT_EQ(sure(candidates, request, {.stages = {Stage::prefix_affinity}, .guard = kNoGuard}),
              (Choice{1, Reason::prefix_affinity}));
    candidates[1].queued_prompt_tokens = 8000;
    EXPECT_EQ(sure(candidates, request, {.stages = {Stage::prefix_affinity}, .guard = kNoGuard}),
              (Choice{1, Reason::prefix_affinity}))
        << "work that is saved spares others too";
    candidates[1].queued_prompt_tokens = 120'000;
    candidates[2].matched_tokens = 500;
    EXPECT_EQ(sure(candidates, request, {.stages = {Stage::prefix_affinity}, .guard = kNoGuard}),
              (Choice{2, Reason::prefix_affinity}));
    candidates[2].queued_prompt_tokens = 9000;
    const auto counts =
        counts_of(candidates, request, {.stages = kPrefix.stages, .guard = kNoGuard});
    EXPECT_NEAR(counts[0], 4000, 300);
    EXPECT_EQ(counts[0] + counts[3], 8000);
    Random random(1);
    EXPECT_EQ(
        choose(candidates, request, {.stages = kPrefix.stages, .guard = kNoGuard}, random)->reason,
        Reason::load_aware);
}

TEST(Choose, PrefixLeavesUnknownPromptsToTheNextStage) {
    Candidates candidates{{.in_flight = 1, .queued_prompt_tokens = 9000}, {.in_flight = 2}};
    Policy policy{.stages = {Stage::prefix_affinity, Stage::least_pending}};
    EXPECT_EQ(sure(candidates, {}, policy), (Choice{0, Reason::least_pending}));
    policy.stages = {Stage::prefix_affinity, Stage::load_aware};
    EXPECT_EQ(sure(candidates, {}, policy), (Choice{1, Reason::load_aware}));
    candidates.push_back({.matched_tokens = 400, .avoid = true});
    EXPECT_EQ(sure(candidates, {}, policy), (Choice{1, Reason::load_aware}));
    policy.stages = {Stage::prefix_affinity, Stage::least_pending};
    EXPECT_EQ(sure(candidates, {}, policy), (Choice{0, Reason::least_pending}))
        << "what is cached where it may not go decides nothing";
}

TEST(Choose, TheGuardEndsPrefixAffinity) {
    const PickRequest request{.prompt_tokens = 8000};
    // Eleven with the new one: ceil(1.25 * 11 / 4) = 4.
    Candidates candidates{{.in_flight = 3, .matched_tokens = 8000},
                          {.in_flight = 3},
                          {.in_flight = 3},
                          {.in_flight = 1}};
    EXPECT_EQ(sure(candidates, request, kPrefix), (Choice{0, Reason::prefix_affinity}));
    candidates[0].in_flight = 4;
    EXPECT_EQ(sure(candidates, request, kPrefix), (Choice{3, Reason::guard_overflow}));
    EXPECT_EQ(sure(candidates, request, {.stages = kPrefix.stages, .guard = kNoGuard}),
              (Choice{0, Reason::prefix_affinity}));
    candidates[0] = {.in_flight = 3, .slots = 3, .matched_tokens = 8000};
    EXPECT_EQ(sure(candidates, request, kPrefix), (Choice{3, Reason::guard_overflow}));
}

TEST(Choose, SessionsStayAndOverflowToTheirNextOne) {
    Candidates candidates{{.identity = 11}, {.identity = 22}, {.identity = 33}, {.identity = 44}};
    const PickRequest request{.session_key = key_of(candidates, 2)};
    EXPECT_EQ(sure(candidates, request, kSession), (Choice{2, Reason::session_affinity}));
    candidates[2].in_flight = 4;  // max(4, ceil(1.25 * 5 / 4)) = 4
    const auto overflow = sure(candidates, request, kSession);
    EXPECT_NE(overflow->index, 2U);
    EXPECT_EQ(overflow->reason, Reason::guard_overflow);
    EXPECT_EQ(sure(candidates, request, {.stages = kSession.stages, .guard = kNoGuard})->index, 2U);
    candidates[2] = {.identity = 33, .avoid = true};
    EXPECT_EQ(sure(candidates, request, kSession)->index, overflow->index);
}

TEST(Choose, WithoutAKeyTheSessionStageSaysNothing) {
    const Candidates candidates{{.in_flight = 2}, {.in_flight = 1}};
    EXPECT_EQ(sure(candidates, {}, kSession), (Choice{1, Reason::least_pending}));
}

TEST(Choose, PrefersHoldersOfTheAdapterUnlessTheyAreLoaded) {
    const PickRequest request{.wants_adapter = true};
    Candidates candidates{{.in_flight = 4},
                          {.in_flight = 5, .has_adapter = true},
                          {.in_flight = 4, .has_adapter = true},
                          {.in_flight = 3}};
    EXPECT_EQ(sure(candidates, request, kLora), (Choice{2, Reason::lora_affinity}));
    EXPECT_EQ(sure(candidates, {}, kLora), (Choice{3, Reason::least_pending}));
    candidates[1].in_flight = 9;
    candidates[2].in_flight = 9;
    EXPECT_EQ(sure(candidates, request, kLora), (Choice{3, Reason::guard_overflow}));
    candidates[1].avoid = candidates[2].avoid = true;
    EXPECT_EQ(sure(candidates, request, kLora), (Choice{3, Reason::least_pending}));
    candidates[1].has_adapter = candidates[2].has_adapter = false;
    EXPECT_EQ(sure(candidates, request, kLora), (Choice{3, Reason::least_pending}));
}

TEST(Choose, AdapterThenPrefixLooksAmongTheHolders) {
    const PickRequest request{.prompt_tokens = 4000, .wants_adapter = true};
    const Policy policy{.stages = {Stage::lora_affinity, Stage::prefix_affinity}};
    Candidates candidates{{.matched_tokens = 4000},
                          {.has_adapter = true},
                          {.matched_tokens = 300, .has_adapter = true},
                          {}};
    EXPECT_EQ(sure(candidates, request, policy), (Choice{2, Reason::prefix_affinity}));
    candidates[2].matched_tokens = 0;
    candidates[2].in_flight = 1;
    EXPECT_EQ(sure(candidates, request, policy), (Choice{1, Reason::lora_affinity}));
}

TEST(Choose, WorksWithHundredsOfCandidates) {
    Candidates candidates(700, {.in_flight = 5});
    candidates[650].in_flight = 4;
    EXPECT_EQ(sure(candidates, {}, kLeast)->index, 650U);
    candidates[690].matched_tokens = 2000;
    EXPECT_EQ(sure(candidates, {.prompt_tokens = 2000}, kPrefix)->index, 690U);
}

TEST(Choose, ReasonsHaveStableNames) {
    std::set<std::string_view> names;
    for (int i = 0; i <= static_cast<int>(Reason::guard_overflow); ++i) {
        names.insert(to_string(static_cast<Reason>(i)));
    }
    EXPECT_EQ(names, (std::set<std::string_view>{"only_one", "least_pending", "load_aware",
                                                 "prefix_affinity", "session_affinity",
                                                 "lora_affinity", "guard_overflow"}));
    EXPECT_EQ(to_string(Reason::only_one), "only_one");
    EXPECT_EQ(to_string(Reason::lora_affinity), "lora_affinity");
    EXPECT_EQ(to_string(Reason::guard_overflow), "guard_overflow");
}

}  // namespace
}  // namespace millrace::routing

#include "routing/selection.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/routing/addresses.hpp"

namespace millrace::routing {
namespace {

class SelectionTest : public testing::Test {
protected:
    SelectionTest() {
        PoolLimits limits;
        limits.slots_per_endpoint = 4;
        limits.prefix_blocks = 1'000;
        pool->set_limits(limits);
        pool->update({at(1), at(2), at(3)});
        selection.policy = &policy;
        selection.request.prompt_tokens = 1'000;
        selection.prefixes = &pool->prefixes();
        selection.tokens_per_block = 100;
    }

    std::shared_ptr<EndpointState> endpoint(int last) const {
        return pool->snapshot()->endpoints[static_cast<std::size_t>(last - 1)];
    }
    Selected choose() { return select(*pool->snapshot(), selection, random); }

    PoolDirectory directory;
    std::shared_ptr<Pool> pool = directory.acquire("b");
    Random random{1};
    Policy policy{.stages = {Stage::prefix_affinity, Stage::load_aware}};
    Selection selection;
};

TEST_F(SelectionTest, WithoutAPolicyTakesTheLessBusyOfTwo) {
    selection.policy = nullptr;
    const EndpointLease a(endpoint(1));
    const EndpointLease b(endpoint(2));
    int third = 0;
    for (int i = 0; i < 300; ++i) {
        const auto selected = choose();
        EXPECT_EQ(selected.reason, Reason::least_pending);
        EXPECT_EQ(selected.work, 0U);
        third += selected.lease->url == endpoint(3)->url ? 1 : 0;
    }
    EXPECT_NEAR(third, 200, 50);
}

TEST_F(SelectionTest, FollowsThePrefixThatItWasToldOf) {
    selection.blocks = {11, 22, 33, 44, 55};
    auto first = choose();
    EXPECT_EQ(first.reason, Reason::load_aware) << "nobody has seen it";
    EXPECT_EQ(first.work, 1'000U);
    note_dispatch(*pool, selection, first.lease);
    const auto url = first.lease->url;
    first.lease.release();
    const auto second = choose();
    EXPECT_EQ(second.lease->url, url);
    EXPECT_EQ(second.reason, Reason::prefix_affinity);
    EXPECT_EQ(second.work, 500U) << "five blocks of a hundred tokens are there";
}

TEST_F(SelectionTest, CountsQueuedPromptTokensUntilTheFirstTokenOrTheEnd) {
    auto selected = choose();
    const auto& load = selected.lease.shared()->load;
    EXPECT_EQ(load.queued_prompt_tokens, 1'000U);
    selected.lease.first_token();
    selected.lease.first_token();
    EXPECT_EQ(load.queued_prompt_tokens, 0U);
    const auto other = [&] {
        auto moved = std::move(selected);
        moved.lease.expect(5);
        return moved.lease.shared();
    }();
    EXPECT_EQ(other->load.queued_prompt_tokens, 0U);
    EXPECT_EQ(other->in_flight, 0U);
}

TEST_F(SelectionTest, SendsTheNextPromptWhereFewerTokensWait) {
    std::vector<Selected> running;
    for (int i = 0; i < 3; ++i) {
        running.push_back(choose());
    }
    std::set<std::string> urls;
    for (const auto& selected : running) {
        urls.insert(selected.lease->url);
    }
    EXPECT_EQ(urls.size(), 3U) << "each went to one without work";
}

TEST_F(SelectionTest, NeverExceedsSlotsAndAvoidsTheFailedOne) {
    std::vector<Selected> running;
    for (int i = 0; i < 12; ++i) {
        running.push_back(choose());
        ASSERT_TRUE(running.back());
    }
    EXPECT_FALSE(choose()) << "three times four slots";
    running.clear();
    selection.avoid = endpoint(1).get();
    for (int i = 0; i < 8; ++i) {
        running.push_back(choose());
        EXPECT_NE(running.back().lease->url, endpoint(1)->url);
    }
    EXPECT_FALSE(choose()) << "the one that failed waits as long as others are ready";
    running.clear();
    endpoint(2)->draining = true;
    endpoint(3)->draining = true;
    EXPECT_EQ(choose().lease->url, endpoint(1)->url) << "better than nothing";
}

TEST_F(SelectionTest, PrefersTheHolderOfTheAdapter) {
    policy.stages = {Stage::lora_affinity, Stage::load_aware};
    selection.adapter = 77;
    selection.request.wants_adapter = true;
    auto first = choose();
    note_dispatch(*pool, selection, first.lease);
    const auto url = first.lease->url;
    first.lease.release();
    for (int i = 0; i < 20; ++i) {
        const auto selected = choose();
        EXPECT_EQ(selected.lease->url, url);
        EXPECT_EQ(selected.reason, Reason::lora_affinity);
    }
}

TEST_F(SelectionTest, ForgetsEndpointsThatAreGone) {
    selection.blocks = {11, 22, 33, 44, 55};
    note_dispatch(*pool, selection, EndpointLease(endpoint(1)));
    pool->update({at(2), at(3)});
    pool->update({at(1), at(2), at(3)});
    EXPECT_EQ(choose().reason, Reason::load_aware) << "the one that came back has an empty cache";
}

TEST_F(SelectionTest, ExplainsWhatItSaw) {
    Trace trace;
    selection.blocks = {11};
    note_dispatch(*pool, selection, EndpointLease(endpoint(2)));
    const auto selected = select(*pool->snapshot(), selection, random, &trace);
    ASSERT_EQ(trace.lines().size(), 3U);
    EXPECT_NE(trace.lines()[1].find("100 of 1000 cached"), std::string::npos) << trace.lines()[1];
}

}  // namespace
}  // namespace millrace::routing

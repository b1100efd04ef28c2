#include "gateway/openai/response_ids.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace millrace::openai {
namespace {

const Instant kStart{std::chrono::hours(10)};
const ResponseOwner kOwner{"llama", "http://127.0.0.1:8001", "team-a"};

TEST(ResponseIds, FindsTheOwnerForItsPrincipalOnly) {
    ResponseIds ids;
    ids.remember("resp_1", kOwner, kStart);
    const auto found = ids.find("resp_1", "team-a", kStart);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->model, "llama");
    EXPECT_EQ(found->endpoint, "http://127.0.0.1:8001");
    EXPECT_FALSE(ids.find("resp_1", "team-b", kStart));
    EXPECT_FALSE(ids.find("resp_2", "team-a", kStart));
}

TEST(ResponseIds, ForgetsAnHourAfterTheLastTouch) {
    ResponseIds ids;
    ids.remember("resp_1", kOwner, kStart);
    EXPECT_TRUE(ids.find("resp_1", "team-a", kStart + std::chrono::minutes(59)));
    EXPECT_TRUE(ids.find("resp_1", "team-a", kStart + std::chrono::minutes(118)));
    EXPECT_FALSE(ids.find("resp_1", "team-b", kStart + std::chrono::minutes(119)))
        << "a stranger's look is no touch";
    EXPECT_FALSE(ids.find("resp_1", "team-a", kStart + std::chrono::minutes(178)));
    EXPECT_EQ(ids.size(), 0U);
}

TEST(ResponseIds, KeepsTheMostRecentlyUsedWithinItsCapacity) {
    ResponseIds ids(160);
    ids.remember("kept", kOwner, kStart);
    for (int i = 0; i < 5000; ++i) {
        ids.remember("resp_" + std::to_string(i), kOwner, kStart);
        EXPECT_TRUE(ids.find("kept", "team-a", kStart));
    }
    EXPECT_LE(ids.size(), 160U);
    EXPECT_GE(ids.size(), 100U) << "the shards share the load";
    EXPECT_FALSE(ids.find("resp_0", "team-a", kStart));
    EXPECT_TRUE(ids.find("resp_4999", "team-a", kStart));
}

TEST(ResponseIds, ReplacesForgetsAndIgnoresOddIds) {
    ResponseIds ids;
    ids.remember("resp_1", kOwner, kStart);
    ids.remember("resp_1", {"m", "e", "team-b"}, kStart);
    EXPECT_FALSE(ids.find("resp_1", "team-a", kStart));
    EXPECT_EQ(ids.find("resp_1", "team-b", kStart)->endpoint, "e");
    EXPECT_EQ(ids.size(), 1U);
    ids.forget("resp_1");
    ids.forget("resp_1");
    ids.remember("", kOwner, kStart);
    ids.remember(std::string(257, 'x'), kOwner, kStart);
    EXPECT_EQ(ids.size(), 0U);
}

TEST(ResponseIds, IsSafeFromManyThreads) {
    ResponseIds ids(1000);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&ids, t] {
            for (int i = 0; i < 5000; ++i) {
                const std::string id = "resp_" + std::to_string(i % 700);
                ids.remember(id, {"m" + std::to_string(t), "e" + std::to_string(i % 3), "p"},
                             kStart);
                ids.find(id, "p", kStart);
                if (i % 11 == 0) {
                    ids.forget(id);
                }
            }
        });
    }
    threads.clear();
    EXPECT_LE(ids.size(), 700U);
}

}  // namespace
}  // namespace millrace::openai

#include "gateway/server/source_counts.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace millrace::gateway {
namespace {

TEST(SourceOf, IsTheAddressOfIPv4AndTheNetworkOfIPv6) {
    EXPECT_EQ(source_of("192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(source_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(source_of("2001:db8:1:2::9"), source_of("2001:db8:1:2:ffff::1"));
    EXPECT_NE(source_of("2001:db8:1:2::9"), source_of("2001:db8:1:3::9"));
    EXPECT_EQ(source_of("::1"), "::/64");
}

TEST(SourceCounts, AdmitsUpToTheLimitPerSource) {
    SourceCounts counts;
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_FALSE(counts.try_add("a", 2));
    EXPECT_TRUE(counts.try_add("b", 2)) << "another source has its own count";
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 2));
    EXPECT_FALSE(counts.try_add("a", 2)) << "a refusal counts nothing";
    EXPECT_TRUE(counts.try_add("a", 3)) << "the limit follows the configuration";
}

TEST(SourceCounts, RemovingWhatIsNotThereChangesNothing) {
    SourceCounts counts;
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 1));
    EXPECT_FALSE(counts.try_add("a", 1));
    counts.remove("a");
    counts.remove("a");
    EXPECT_TRUE(counts.try_add("a", 1));
    EXPECT_FALSE(counts.try_add("a", 1));
}

TEST(SourceCounts, IsExactOverThreads) {
    SourceCounts counts;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&counts] {
            for (int n = 0; n < 5000; ++n) {
                if (counts.try_add("a", 3)) {
                    counts.remove("a");
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (int n = 0; n < 3; ++n) {
        EXPECT_TRUE(counts.try_add("a", 3));
    }
    EXPECT_FALSE(counts.try_add("a", 3));
}

}  // namespace
}  // namespace millrace::gateway

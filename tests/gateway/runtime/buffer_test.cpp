#include "gateway/runtime/buffer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace millrace::gateway {
namespace {

TEST(Buffer, IsEmptyUntilItIsGivenMemory) {
    Buffer buffer;
    EXPECT_FALSE(buffer);
    EXPECT_EQ(buffer.room(), 0U);
    EXPECT_EQ(buffer.view(), "");
}

TEST(BufferPool, GivesAtLeastWhatWasAskedAndReusesIt) {
    BufferPool pool;
    char* first = nullptr;
    {
        Buffer buffer = pool.get(3000);
        EXPECT_EQ(buffer.capacity(), 4096U);
        first = buffer.data();
    }
    EXPECT_EQ(pool.free_bytes(), 4096U);
    Buffer again = pool.get(4096);
    EXPECT_EQ(again.data(), first);
    EXPECT_EQ(pool.free_bytes(), 0U);
}

TEST(BufferPool, KeepsABoundedAmountOfFreeMemory) {
    BufferPool pool;
    {
        std::vector<Buffer> buffers;
        for (int i = 0; i < 5; ++i) {
            buffers.push_back(pool.get(std::size_t{4} << 20U));
        }
    }
    EXPECT_LE(pool.free_bytes(), BufferPool::kKept);
}

TEST(BufferPool, ServesSizesBeyondItsClassesWithoutKeepingThem) {
    BufferPool pool;
    {
        Buffer huge = pool.get((std::size_t{4} << 20U) + 1);
        EXPECT_EQ(huge.capacity(), (std::size_t{4} << 20U) + 1);
    }
    EXPECT_EQ(pool.free_bytes(), 0U);
}

TEST(BufferPool, GrowKeepsTheContent) {
    BufferPool pool;
    Buffer buffer = pool.get(1024);
    buffer.append(std::string(1000, 'x'));
    pool.grow(buffer, 100'000);
    EXPECT_GE(buffer.capacity(), 100'000U);
    EXPECT_EQ(buffer.view(), std::string(1000, 'x'));
}

TEST(ByteBudget, RefusesWhatDoesNotFitAndRecovers) {
    ByteBudget budget(100);
    BudgetLease first(budget);
    EXPECT_TRUE(first.grow_to(60));
    BudgetLease second(budget);
    EXPECT_FALSE(second.grow_to(50));
    EXPECT_TRUE(second.grow_to(40));
    EXPECT_EQ(budget.used(), 100U);
    first.release();
    EXPECT_EQ(budget.used(), 40U);
    EXPECT_TRUE(second.grow_to(100));
}

TEST(BudgetLease, GivesBackExactlyOnceWhenMoved) {
    ByteBudget budget(100);
    {
        BudgetLease lease(budget);
        ASSERT_TRUE(lease.grow_to(70));
        BudgetLease moved(std::move(lease));
        BudgetLease assigned;
        assigned = std::move(moved);
        EXPECT_EQ(budget.used(), 70U);
    }
    EXPECT_EQ(budget.used(), 0U);
}

TEST(ByteBudget, IsNeverOverdrawnByManyThreads) {
    ByteBudget budget(1000);
    std::vector<std::thread> threads;
    std::atomic<std::uint64_t> granted{0};
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&budget, &granted] {
            for (int i = 0; i < 10'000; ++i) {
                if (budget.try_take(300)) {
                    ASSERT_LE(granted.fetch_add(300) + 300, 1000U);
                    granted.fetch_sub(300);
                    budget.give_back(300);
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(budget.used(), 0U);
}

}  // namespace
}  // namespace millrace::gateway

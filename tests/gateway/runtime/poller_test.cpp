#include "gateway/runtime/poller.hpp"

#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace millrace::gateway {
namespace {

constexpr Duration kNow{0};
/// For what should come at once.
constexpr Duration kSoon = std::chrono::seconds(10);

/// Remembers what it was told, and counts how many of its kind live.
struct Told final : PollTarget {
    Told() { ++alive; }
    ~Told() override { --alive; }
    void on_events(std::uint32_t given) override {
        ++calls;
        events = given;
        if (then) {
            then();
        }
    }
    int calls = 0;
    std::uint32_t events = 0;
    std::function<void()> then;
    static inline int alive = 0;
};

class PollerTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
    }
    void TearDown() override {
        for (const int end : ends) {
            if (end >= 0) {
                ::close(end);
            }
        }
    }
    void turn(Duration limit) {
        poller.wait(limit);
        poller.dispatch();
    }

    std::array<int, 2> ends{-1, -1};
    Poller poller;
};

TEST_F(PollerTest, TellsOfWhatWasReadyBeforeItWasAdded) {
    ASSERT_EQ(::send(ends[1], "x", 1, 0), 1);
    auto* target = new Told;
    ASSERT_TRUE(poller.add(ends[0], *target));
    turn(kSoon);
    EXPECT_EQ(target->calls, 1);
    EXPECT_NE(target->events & EPOLLIN, 0U);
    EXPECT_NE(target->events & EPOLLOUT, 0U);
    poller.retire(target);
}

TEST_F(PollerTest, TellsOncePerChangeAndNotAgainWhileNothingChanges) {
    auto* target = new Told;
    ASSERT_TRUE(poller.add(ends[0], *target));
    turn(kSoon);
    EXPECT_EQ(target->calls, 1) << "writable";
    turn(kNow);
    EXPECT_EQ(target->calls, 1);
    for (int i = 2; i < 5; ++i) {  // unread bytes do not hide new ones
        ASSERT_EQ(::send(ends[1], "x", 1, 0), 1);
        turn(kSoon);
        EXPECT_EQ(target->calls, i);
        turn(kNow);
        EXPECT_EQ(target->calls, i);
    }
    poller.retire(target);
}

TEST_F(PollerTest, TellsOfAHangUpBehindBytesThatNobodyHasRead) {
    auto* target = new Told;
    ASSERT_TRUE(poller.add(ends[0], *target));
    ASSERT_EQ(::send(ends[1], "x", 1, 0), 1);
    turn(kSoon);
    EXPECT_EQ(target->events & EPOLLRDHUP, 0U);
    ::shutdown(ends[1], SHUT_WR);
    turn(kSoon);
    EXPECT_NE(target->events & EPOLLRDHUP, 0U);
    poller.retire(target);
}

TEST_F(PollerTest, SaysNothingOfAClosedDescriptor) {
    auto* target = new Told;
    ASSERT_TRUE(poller.add(ends[0], *target));
    turn(kSoon);
    ::close(std::exchange(ends[0], -1));
    ::close(std::exchange(ends[1], -1));
    turn(kNow);
    EXPECT_EQ(target->calls, 1);
    poller.retire(target);
}

TEST_F(PollerTest, CannotAddWhatIsNoDescriptor) {
    Told target;
    EXPECT_FALSE(poller.add(-1, target));
}

TEST_F(PollerTest, TellsEverybodyHoweverManyAreReadyAtOnce) {
    constexpr std::size_t kMany = 300;  // more than one batch
    std::vector<int> descriptors;
    std::vector<Told*> targets;
    for (std::size_t i = 0; i < kMany; ++i) {
        descriptors.push_back(::eventfd(1, EFD_NONBLOCK));
        targets.push_back(new Told);
        ASSERT_TRUE(poller.add(descriptors.back(), *targets.back()));
    }
    for (int i = 0; i < 10; ++i) {
        turn(kNow);
    }
    for (std::size_t i = 0; i < kMany; ++i) {
        EXPECT_EQ(targets[i]->calls, 1) << i;
        poller.retire(targets[i]);
        ::close(descriptors[i]);
    }
}

TEST_F(PollerTest, FreesATargetAtOnceOutsideOfABatchAndAfterItWithin) {
    const int before = Told::alive;
    auto* outside = new Told;
    poller.retire(outside);
    EXPECT_EQ(Told::alive, before);

    // Each of the two would retire the other: whichever comes second must still be there.
    auto* a = new Told;
    auto* b = new Told;
    Told* survivor = nullptr;
    const auto retire_other = [this, &survivor](Told* self, Told* other) {
        return [this, &survivor, self, other] {
            if (survivor == nullptr) {
                survivor = self;
                poller.retire(other);
            }
        };
    };
    a->then = retire_other(a, b);
    b->then = retire_other(b, a);
    ASSERT_TRUE(poller.add(ends[0], *a));
    ASSERT_TRUE(poller.add(ends[1], *b));
    poller.wait(kSoon);
    poller.dispatch();
    ASSERT_NE(survivor, nullptr);
    EXPECT_EQ(survivor->calls, 1);
    EXPECT_EQ(Told::alive, before + 1) << "freed with the end of the batch";
    poller.retire(survivor);
}

TEST_F(PollerTest, IsWokenOncePerCallWithoutAnyTarget) {
    EXPECT_FALSE(poller.wait(kNow));
    poller.wake();
    poller.wake();
    EXPECT_TRUE(poller.wait(kSoon));
    EXPECT_FALSE(poller.wait(kNow)) << "both calls were one wake-up";
    poller.wake();
    EXPECT_TRUE(poller.wait(kSoon));
}

TEST_F(PollerTest, IsWokenFromAnotherThreadWhileItWaits) {
    std::thread other([this] { poller.wake(); });
    EXPECT_TRUE(poller.wait(kSoon));
    other.join();
}

TEST_F(PollerTest, DeliversEventsThatCameWithAWakeUp) {
    auto* target = new Told;
    ASSERT_TRUE(poller.add(ends[0], *target));
    poller.wake();
    EXPECT_TRUE(poller.wait(kSoon));
    poller.dispatch();
    EXPECT_EQ(target->calls, 1);
    poller.retire(target);
}

}  // namespace
}  // namespace millrace::gateway

// WaitingLine against a model that is too simple to be wrong: a list that is searched from end to
// end for every question.
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "config/base/random.hpp"
#include "routing/waiting_line.hpp"

namespace millrace::routing {
namespace {

class Model {
public:
    explicit Model(const LineLimits& limits) : limits_(limits) {}

    /// Whom the line should have evicted; nullopt = it should have refused.
    std::optional<std::vector<Waiter*>> push(Waiter& waiter) {
        const auto& order = waiter.order();
        if (limits_.tenant_requests > 0 &&
            std::ranges::count_if(waiting_, [&](const Waiter* other) {
                return other->order().priority == order.priority &&
                       other->order().tenant == order.tenant;
            }) >= limits_.tenant_requests) {
            return std::nullopt;
        }
        std::vector<Waiter*> evicted;
        auto left = waiting_;
        while (left.size() >= limits_.requests || bytes(left) + order.bytes > limits_.bytes) {
            auto* victim = least_worthy(left);
            if (victim == nullptr || victim->order().priority >= order.priority) {
                return std::nullopt;
            }
            evicted.push_back(victim);
            std::erase(left, victim);
        }
        waiting_ = left;
        forget_when_idle();
        auto& tag = tags_[key(order)];
        if (std::ranges::none_of(
                waiting_, [&](const Waiter* other) { return key(other->order()) == key(order); })) {
            tag = std::max(tag, time_[order.priority]);
        }
        waiting_.push_back(&waiter);
        return evicted;
    }

    Waiter* front() const {
        const auto best = std::ranges::min_element(waiting_, [&](const Waiter* a, const Waiter* b) {
            const auto rank = [&](const Waiter* w) {
                return std::tuple(-static_cast<std::int64_t>(w->order().priority),
                                  tags_.at(key(w->order())), w->order().tenant,
                                  w->order().deadline);
            };
            return rank(a) < rank(b);  // the earlier arrival comes first among equals
        });
        return best == waiting_.end() ? nullptr : *best;
    }

    void pop_front() {
        auto* served = front();
        auto& tag = tags_[key(served->order())];
        time_[served->order().priority] = tag;
        tag += served->order().cost * 1'024 / served->order().weight;
        remove(*served);
    }

    void remove(Waiter& waiter) {
        std::erase(waiting_, &waiter);
        forget_when_idle();
    }

    const std::vector<Waiter*>& waiting() const { return waiting_; }
    static std::uint64_t bytes(const std::vector<Waiter*>& waiters) {
        std::uint64_t sum = 0;
        for (const auto* waiter : waiters) {
            sum += waiter->order().bytes;
        }
        return sum;
    }

private:
    using Key = std::pair<std::uint32_t, std::uint32_t>;
    static Key key(const WaitOrder& order) { return {order.priority, order.tenant}; }

    void forget_when_idle() {
        if (waiting_.empty()) {
            tags_.clear();
            time_.clear();
        }
    }

    static Waiter* least_worthy(const std::vector<Waiter*>& waiters) {
        if (waiters.empty()) {
            return nullptr;
        }
        const auto lowest = (*std::ranges::min_element(
                                 waiters, {}, [](const Waiter* w) { return w->order().priority; }))
                                ->order()
                                .priority;
        std::map<std::uint32_t, std::uint64_t> cost;
        for (const auto* waiter : waiters) {
            if (waiter->order().priority == lowest) {
                cost[waiter->order().tenant] += waiter->order().cost;
            }
        }
        const auto most =
            std::ranges::max_element(cost, {}, [](const auto& e) { return e.second; });
        Waiter* victim = nullptr;
        for (auto* waiter : waiters) {
            if (key(waiter->order()) == Key{lowest, most->first} &&
                (victim == nullptr || waiter->order().deadline >= victim->order().deadline)) {
                victim = waiter;
            }
        }
        return victim;
    }

    LineLimits limits_;
    std::vector<Waiter*> waiting_;  // in order of arrival
    std::map<Key, std::uint64_t> tags_;
    std::map<std::uint32_t, std::uint64_t> time_;
};

class WaitingLineModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(WaitingLineModelTest, AgreesOverAThousandSteps) {
    const LineLimits limits{.requests = 12, .bytes = 4'000, .tenant_requests = 5};
    Random random(GetParam());
    WaitingLine line;
    line.set_limits(limits);
    Model model(limits);
    std::list<Waiter> waiters;
    for (int step = 0; step < 1'000; ++step) {
        const auto action = random.below(10);
        if (action < 6) {
            auto& waiter = waiters.emplace_back(
                WaitOrder{.priority = random.below(3),
                          .tenant = random.below(4),
                          .weight = 1 + random.below(3),
                          .cost = 1 + random.below(2'000),
                          .bytes = random.below(700),
                          .deadline = Instant{} + std::chrono::seconds(random.below(20))});
            const auto expected = model.push(waiter);
            const auto pushed = line.push(waiter);
            ASSERT_EQ(pushed.status == LineStatus::queued, expected.has_value()) << step;
            ASSERT_EQ(pushed.evicted, expected.value_or(std::vector<Waiter*>{})) << step;
        } else if (action < 9 && line.front() != nullptr) {
            model.pop_front();
            line.pop_front();
        } else if (!model.waiting().empty()) {
            auto& leaving =
                *model.waiting()[random.below(static_cast<std::uint32_t>(model.waiting().size()))];
            model.remove(leaving);
            ASSERT_TRUE(line.remove(leaving));
        }
        ASSERT_EQ(line.size(), model.waiting().size()) << step;
        ASSERT_EQ(line.bytes(), Model::bytes(model.waiting())) << step;
        ASSERT_LE(line.size(), limits.requests);
        ASSERT_LE(line.bytes(), limits.bytes);
        ASSERT_EQ(line.front(), model.front()) << step;
    }
    while (line.front() != nullptr) {
        line.pop_front();
    }
}

INSTANTIATE_TEST_SUITE_P(Seeds, WaitingLineModelTest, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace millrace::routing

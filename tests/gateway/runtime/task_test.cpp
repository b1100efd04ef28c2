#include "gateway/runtime/task.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace millrace::gateway {
namespace {

/// A one-shot event that a test sets by hand.
struct Event {
    std::coroutine_handle<> waiter;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) noexcept { waiter = handle; }
    void await_resume() const noexcept {}
    void set() { std::exchange(waiter, nullptr).resume(); }
};

Task<int> add_after(Event& event, int a, int b) {
    co_await event;
    co_return a + b;
}

Task<std::unique_ptr<std::string>> make(std::string text) {
    co_return std::make_unique<std::string>(std::move(text));
}

Task<> sum(Event& event, int& out) {
    if (const int first = co_await add_after(event, 1, 2); first == 3) {
        out = first + static_cast<int>((co_await make("four"))->size());
    }
}

Task<> fail() {
    throw std::runtime_error("broken");
    co_return;
}

Task<> fail_nested() {
    co_await fail();
}

Task<int> count_down(int n) {
    if (n == 0) {
        co_return 0;
    }
    co_return 1 + co_await count_down(n - 1);
}

TEST(Task, IsLazyAndPassesValuesThroughAwaits) {
    Event event;
    int out = 0;
    bool done = false;
    Task<> task = sum(event, out);
    EXPECT_FALSE(event.waiter);
    spawn(std::move(task), [&done](const std::exception_ptr& failure) { done = !failure; });
    EXPECT_FALSE(done);
    event.set();
    EXPECT_TRUE(done);
    EXPECT_EQ(out, 7);
}

TEST(Task, CarriesAnExceptionToTheSpawner) {
    std::string message;
    spawn(fail_nested(), [&message](const std::exception_ptr& failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::runtime_error& error) {
            message = error.what();
        }
    });
    EXPECT_EQ(message, "broken");
}

Task<> keep_depth(int n, int& out) {
    out = co_await count_down(n);
}

TEST(Task, DeepAwaitChainsReturnTheirResult) {
    int out = 0;
    spawn(keep_depth(2000, out), [](const std::exception_ptr&) {});
    EXPECT_EQ(out, 2000);
}

TEST(Task, ATaskThatIsNeverAwaitedFreesItsFrame) {
    Event event;
    int out = 0;
    {
        const Task<> task = sum(event, out);
    }
    EXPECT_EQ(out, 0);
}

}  // namespace
}  // namespace millrace::gateway

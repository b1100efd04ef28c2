// Task<T>: a lazily started coroutine that runs on its worker's thread and hands its result to the
// one who awaits it.
//
// Why not asio::awaitable: cancellation here is always "close the socket, the pending wait ends,
// the code looks at the reason", so neither cancellation slots nor exceptions on cancel are wanted;
// and a proxy spends its time in short awaits, where symmetric transfer and pooled frames measure
// (docs/decisions/0005-own-task.md). Lifetime: a Task owns its frame; awaiting it from another
// coroutine keeps it alive until it finishes. `spawn` detaches one, which then owns itself; its
// arguments must be values or objects that outlive it. Thread-safety: none; a coroutine never
// migrates.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/runtime/frame_pool.hpp"

namespace millrace::gateway {

template <class T = void>
class Task;

namespace detail {

struct PooledFrame {
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame, std::size_t size) noexcept { free_frame(frame, size); }
};

struct TaskPromiseBase : PooledFrame {
    struct FinalAwaiter {
        bool await_ready() const noexcept { return false; }
        template <class Promise>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
            return self.promise().continuation;
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { exception = std::current_exception(); }

    std::coroutine_handle<> continuation = std::noop_coroutine();
    std::exception_ptr exception;
};

template <class T>
struct TaskPromise : TaskPromiseBase {
    Task<T> get_return_object();
    template <class U>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }
    T take() {
        if (exception) {
            std::rethrow_exception(exception);
        }
        return std::move(*value);
    }
    std::optional<T> value;
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
    Task<void> get_return_object();
    void return_void() const noexcept {}
    void take() const {
        if (exception) {
            std::rethrow_exception(exception);
        }
    }
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
public:
    using promise_type = detail::TaskPromise<T>;
    using Handle = std::coroutine_handle<promise_type>;

    explicit Task(Handle handle) : handle_(handle) {}
    Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    Task& operator=(Task&&) = delete;
    ~Task() {
        if (handle_) {
            handle_.destroy();
        }
    }

    auto operator co_await() && noexcept {
        struct Awaiter {
            Handle handle;
            bool await_ready() const noexcept { return false; }
            std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) const noexcept {
                handle.promise().continuation = caller;
                return handle;
            }
            T await_resume() const { return handle.promise().take(); }
        };
        MILLRACE_ASSERT(handle_);
        return Awaiter{handle_};
    }

private:
    Handle handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
    return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}

inline Task<void> TaskPromise<void>::get_return_object() {
    return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}

/// A coroutine that nobody awaits; its frame frees itself at the end.
struct Detached {
    struct promise_type : PooledFrame {
        Detached get_return_object() const noexcept { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
};

}  // namespace detail

/// Starts `task` now; `on_done(std::exception_ptr)` runs when it has ended, null for a normal end.
template <class OnDone>
detail::Detached spawn(Task<void> task, OnDone on_done) {
    std::exception_ptr failure;
    try {
        co_await std::move(task);
    } catch (...) {
        failure = std::current_exception();
    }
    on_done(failure);
}

}  // namespace millrace::gateway

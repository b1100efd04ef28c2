#include "gateway/server/worker.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <exception>
#include <utility>

#include "metrics/settlement.hpp"

namespace millrace::gateway {

struct Worker::Held {
    Held(Worker& worker, int descriptor, std::string address, std::function<void()> closed)
        : session(worker, descriptor, std::move(address)), on_closed(std::move(closed)) {}

    Session session;
    std::function<void()> on_closed;
};

Worker::Worker(std::size_t index, const SharedServices& shared, metrics::Slot& slot,
               std::uint64_t seed)
    : shared_(shared),
      slot_(slot),
      loop_(shared.clock, seed + index,
            [this](Duration lag) { slot_.process().loop_lag.observe(lag); }),
      upstreams_(loop_),
      snapshots_(shared.snapshots),
      prompt_blocks_({.secret = shared.prompt_secret}),
      services_{loop_,
                shared.clock,
                upstreams_,
                endpoints_,
                slot_,
                shared.budget,
                shared.overload,
                shared.response_ids,
                shared.access_log,
                snapshots_,
                scratch_,
                mirrors_,
                prompt_blocks_,
                index} {}

Worker::~Worker() {
    stop();
    join();
    // Whoever still waits is resumed once more, to find its connection closed; a few turns see them
    // all out.
    constexpr int kTurns = 100;
    for (const auto& [session, held] : sessions_) {
        session->abort_request();
        session->close();
    }
    mirrors_.drain(true);
    for (int i = 0; i < kTurns && (!sessions_.empty() || mirrors_.running() > 0); ++i) {
        loop_.turn(Duration(0));
    }
    for (auto& [session, held] : sessions_) {
        static_cast<void>(
            held.release());  // a coroutine still refers to it; the process is about to end
    }
    upstreams_.clear();
}

void Worker::start() {
    thread_ = std::thread([this] { loop_.run(); });
}

void Worker::adopt(int descriptor, std::string address, std::function<void()> on_closed) {
    connections_.fetch_add(1, std::memory_order_relaxed);
    loop_.post([this, descriptor, address = std::move(address),
                on_closed = std::move(on_closed)]() mutable {
        const int on = 1;
        ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        auto held =
            std::make_unique<Held>(*this, descriptor, std::move(address), std::move(on_closed));
        auto& session = held->session;
        slot_.process().connections_opened.add();
        sessions_.emplace(&session, std::move(held));
        spawn(session.run(), [this, &session](const std::exception_ptr& failure) {
            if (failure) {
                try {
                    std::rethrow_exception(failure);
                } catch (const std::exception& bug) {
                    shared_.on_bug(bug.what());
                }
            }
            // The coroutine that runs this still stands on the session's Task; the session goes on
            // the next turn.
            loop_.post([this, &session] {
                const auto found = sessions_.find(&session);
                const auto closed = std::move(found->second->on_closed);
                sessions_.erase(found);
                slot_.process().connections_closed.add();
                connections_.fetch_sub(1, std::memory_order_relaxed);
                closed();
            });
        });
    });
}

void Worker::drain(bool on) {
    loop_.post([this, on] {
        draining_ = on;
        mirrors_.drain(on);
        if (on) {
            for (const auto& [session, held] : sessions_) {
                session->drain();
            }
        }
    });
}

void Worker::shorten_idle() {
    loop_.post([this] {
        for (const auto& [session, held] : sessions_) {
            session->shorten_idle();
        }
    });
}

void Worker::abort_all() {
    loop_.post([this] {
        for (const auto& [session, held] : sessions_) {
            session->abort_request();
        }
    });
}

void Worker::stop() {
    loop_.stop();
}

void Worker::join() {
    if (thread_.joinable()) {
        thread_.join();
    }
}

}  // namespace millrace::gateway

#include "gateway/server/worker.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <exception>
#include <utility>

#include "metrics/settlement.hpp"

namespace millrace::gateway {

using boost::asio::ip::tcp;

struct Worker::Held {
    Held(Worker& worker, TcpSocket raw, std::string address, std::function<void()> closed)
        : session(worker, std::move(raw), std::move(address)), on_closed(std::move(closed)) {}

    Session session;
    std::function<void()> on_closed;
};

Worker::Worker(std::size_t index, const SharedServices& shared, metrics::Slot& slot, std::uint64_t seed)
    : shared_(shared),
      slot_(slot),
      loop_(shared.clock, seed + index, [this](Duration lag) { slot_.process().loop_lag.observe(lag); }),
      upstreams_(loop_),
      snapshots_(shared.snapshots),
      services_{loop_,          shared.clock,        upstreams_,       endpoints_, slot_,
                shared.budget,  shared.response_ids, shared.access_log, snapshots_, scratch_} {}

Worker::~Worker() {
    stop();
    join();
    // Waits that never ended die with the loop; sessions go first, while it is still there.
    sessions_.clear();
    upstreams_.clear();
}

void Worker::start() {
    thread_ = std::thread([this] { loop_.run(); });
}

void Worker::adopt(int descriptor, std::string address, std::function<void()> on_closed) {
    connections_.fetch_add(1, std::memory_order_relaxed);
    loop_.post([this, descriptor, address = std::move(address), on_closed = std::move(on_closed)]() mutable {
        sockaddr_storage name{};
        socklen_t size = sizeof(name);
        const bool known = ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&name), &size) == 0;
        TcpSocket raw(loop_.context());
        boost::system::error_code error;
        raw.assign(name.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), descriptor, error);
        if (!known || error) {
            ::close(descriptor);
            connections_.fetch_sub(1, std::memory_order_relaxed);
            on_closed();
            return;
        }
        raw.set_option(tcp::no_delay(true), error);
        raw.non_blocking(true, error);
        auto held = std::make_unique<Held>(*this, std::move(raw), std::move(address), std::move(on_closed));
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
            // The coroutine that runs this still stands on the session's Task; the session goes on the next turn.
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
        if (on) {
            for (const auto& [session, held] : sessions_) {
                session->drain();
            }
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

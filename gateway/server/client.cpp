#include "gateway/server/client.hpp"

#include <utility>

namespace millrace::gateway {

Client::Client(Loop& on, int descriptor, std::string from)
    : loop(on),
      socket(on, descriptor),
      address(std::move(from)),
      timer_([](void* self) { static_cast<Client*>(self)->on_timer(); }, this) {
    socket.set_listener([](void* self) { static_cast<Client*>(self)->on_readable(); }, this);
}

void Client::on_timer() {
    timed_out_ = true;
    socket.cancel();
}

Task<WaitResult> Client::wait_readable(Instant deadline) {
    timed_out_ = false;
    loop.arm(timer_, deadline);
    co_await socket.readable();
    if (!socket.is_open() || abort) {
        co_return WaitResult::closed;
    }
    // A byte that came with the timeout counts: the next read finds it.
    co_return timed_out_ ? WaitResult::timeout : WaitResult::ready;
}

void Client::hasten(Instant deadline) {
    if (timer_.armed() && deadline < timer_.deadline()) {
        loop.arm(timer_, deadline);
    }
}

Task<bool> Client::write_all(Pieces pieces, Duration stall, ByteBudget& budget) {
    BudgetLease waiting(budget);
    while (!pieces.empty()) {
        if (!socket.is_open() || abort.reason() == AbortReason::client_closed) {
            abort.fire(AbortReason::client_closed);
            co_return false;
        }
        const IoResult written = socket.write_some(pieces);
        if (written.status == IoStatus::ok) {
            pieces = drop_written(pieces, written.bytes);
            continue;
        }
        if (written.status != IoStatus::blocked) {
            abort.fire(AbortReason::client_closed);
            co_return false;
        }
        if (!waiting.grow_to(total_size(pieces))) {
            abort.fire(AbortReason::client_stalled);
            co_return false;
        }
        timed_out_ = false;
        loop.arm(timer_, loop.now() + stall);
        co_await socket.writable();
        timer_.disarm();
        if (timed_out_) {
            abort.fire(AbortReason::client_stalled);
            co_return false;
        }
    }
    co_return true;
}

void Client::watch() {
    watching_ = true;
    timer_.disarm();
    if (socket.may_read()) {
        on_readable();
    }
}

void Client::stop_watching() {
    watching_ = false;
    timer_.disarm();
}

void Client::on_readable() {
    while (watching_ && socket.may_read()) {
        if (!ahead) {
            ahead = loop.buffers().get(kAhead);
        }
        if (ahead.room() == 0) {
            // What is behind the full buffer stays with the kernel; only the hang-up counts.
            if (socket.peer_closed()) {
                watching_ = false;
                abort.fire(AbortReason::client_closed);
            }
            return;
        }
        const IoResult got = socket.read_some(ahead.tail(), ahead.room());
        ahead.commit(got.bytes);
        if (ahead.size() == 0) {
            ahead.release();
        }
        if (got.status == IoStatus::eof || got.status == IoStatus::failed) {
            watching_ = false;
            abort.fire(AbortReason::client_closed);
        }
        if (got.status != IoStatus::ok) {
            return;
        }
    }
}

void Client::close(bool reset) {
    timer_.disarm();
    socket.close(reset);
}

Task<void> Client::linger(Duration limit) {
    stop_watching();
    const Instant deadline = loop.now() + limit;
    in.release();
    ahead.release();
    while (socket.is_open()) {
        Buffer discarded = loop.buffers().get(kFirstRead);
        const IoResult got = socket.read_some(discarded.data(), discarded.room());
        if (got.status == IoStatus::eof || got.status == IoStatus::failed) {
            break;
        }
        if (loop.now() >= deadline) {
            break;
        }
        if (got.status == IoStatus::blocked) {
            discarded.release();
            timed_out_ = false;
            loop.arm(timer_, deadline);
            co_await socket.readable();
            if (timed_out_) {
                break;
            }
        }
    }
    close();
}

}  // namespace millrace::gateway

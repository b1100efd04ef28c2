// The second half of Connection: sending, faults that cut, the ends of answers and of connections.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <utility>

#include "bench/vllm_sim/connection.hpp"
#include "bench/vllm_sim/loop.hpp"

namespace millrace::vllm_sim {

/// Sends what is rendered, renders more while the socket takes it, and ends the answer when it is
/// complete.
void Connection::after_render() {
    if (out_.holding() && !release_scheduled_) {
        release_scheduled_ = true;
        loop_.schedule(*this, Timer::release,
                       loop_.engine().now + std::chrono::milliseconds(cut_fault_.value));
    }
    while (exchange_ && !exchange_->finished()) {
        flush();
        if (closed_ || stalled_) {
            return;
        }
        if (!exchange_->wants_room() || out_.waiting() > 0) {
            enter_live_set();
            return;
        }
        exchange_->pump();
    }
    if (exchange_ && !closed_ && !stalled_) {
        finish_exchange();
    }
}

void Connection::enter_live_set() {
    if (exchange_->live) {
        return;
    }
    exchange_->live = true;
    loop_.engine().shared.live.insert(exchange_->record().id);
    if (!exchange_->planned().batched) {
        loop_.engine().stats.running.add(1);
    }
}

void Connection::leave_live_set() {
    if (!exchange_->live) {
        return;
    }
    loop_.engine().shared.live.erase(exchange_->record().id);
    if (!exchange_->planned().batched) {
        loop_.engine().stats.running.add(-1);
    }
}

void Connection::finish_exchange() {
    leave_live_set();
    closing_ = closing_ || exchange_->closes();
    if (loop_.log().enabled()) {
        unflushed_.push_back(
            {std::move(exchange_->record()), exchange_->start_offset(), out_.rendered()});
    }
    const bool cuts = exchange_->planned().fault.cuts();
    exchange_.reset();
    if (cuts) {
        flush();  // nothing may be rendered behind a cut
    }
    if (!processing_) {
        flush();
        resume();
    }
}

void Connection::flush() {
    if (closed_ || stalled_ || blocked_) {
        return;
    }
    const OutBuffer::Flush result = out_.flush(fd_);
    settle_flushed();
    switch (result) {
        case OutBuffer::Flush::failed: abort("aborted_by_client"); return;
        case OutBuffer::Flush::cut: act_on_cut(); return;
        case OutBuffer::Flush::blocked: blocked_ = true; break;
        case OutBuffer::Flush::held: break;
        case OutBuffer::Flush::drained:
            if (closing_ && !exchange_) {
                close(false);
                return;
            }
            schedule_idle_close();
    }
    update_interest();
}

void Connection::schedule_idle_close() {
    const auto& range = loop_.engine().shared.options.idle_close;
    if (!range || exchange_) {
        return;
    }
    const auto span = (range->second - range->first) / std::chrono::microseconds(1);
    const auto extra = loop_.engine().random.below(static_cast<std::uint32_t>(span) + 1);
    loop_.schedule(*this, Timer::idle,
                   loop_.engine().now + range->first + std::chrono::microseconds(extra));
}

/// Logs the answers whose last byte has been written.
void Connection::settle_flushed() {
    std::size_t done = 0;
    while (done < unflushed_.size() && unflushed_[done].end <= out_.written()) {
        Unflushed& entry = unflushed_[done++];
        entry.record.bytes_written = entry.end - entry.start;
        loop_.log().write(entry.record);
    }
    unflushed_.erase(unflushed_.begin(), unflushed_.begin() + static_cast<std::ptrdiff_t>(done));
}

/// Everything up to the cut is in the socket: the fault strikes.
void Connection::act_on_cut() {
    const std::string end = "fault:" + std::string(to_string(cut_fault_.kind));
    loop_.engine().stats.faults.add(1);
    if (exchange_) {
        exchange_->record().end = end;
    } else if (!unflushed_.empty()) {
        unflushed_.back().record.end = end;
    }
    if (cut_fault_.kind != FaultKind::stall) {
        abort(end, cut_fault_.kind == FaultKind::rst);
        return;
    }
    stalled_ = true;
    Loop::cancel(*this, Timer::token);
    loop_.withdraw(*this);
    if (exchange_) {
        enter_live_set();
    }
    update_interest();
}

/// Ends the connection and whatever is under way; answers that are incomplete get `end`, unless a
/// fault named theirs.
void Connection::abort(std::string_view end, bool reset) {
    if (closed_) {
        return;
    }
    const std::uint64_t written = out_.written();
    for (Unflushed& entry : unflushed_) {
        entry.record.bytes_written = std::min(written, entry.end) - std::min(written, entry.start);
        if (entry.record.end == "completed") {
            entry.record.end = end;
        }
        loop_.log().write(entry.record);
    }
    unflushed_.clear();
    if (exchange_) {
        exchange_->interrupt(end);
        leave_live_set();
        if (loop_.log().enabled()) {
            exchange_->record().bytes_written =
                written - std::min(written, exchange_->start_offset());
            loop_.log().write(exchange_->record());
        }
        // Our caller may be inside this exchange's rendering: it goes with the connection, at the
        // end of the round.
        loop_.withdraw(*this);
    }
    close(reset);
}

void Connection::shut_down(bool at_once) {
    if (closed_) {
        return;
    }
    if (at_once) {
        abort("shutdown");
    } else if (busy()) {
        closing_ = true;
    } else {
        close(false);
    }
}

void Connection::close(bool reset) {
    if (reset) {
        const linger hard{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    } else {
        // Unread input would turn the close into a reset and could cost the client the end of the
        // answer.
        std::string& scratch = loop_.read_buffer();
        while (!processing_ && ::recv(fd_, scratch.data(), scratch.size(), MSG_DONTWAIT) > 0) {
        }
    }
    closed_ = true;
    loop_.closed(*this);  // the descriptor lives until the end of the round, so that no new one can
                          // take its number
}

void Connection::update_interest() {
    if (closed_) {
        return;
    }
    const bool full = in_.size() > kReadAhead && (exchange_ || blocked_);
    const std::uint32_t wanted =
        static_cast<std::uint32_t>(EPOLLRDHUP) |
        (stalled_ || full ? 0U : static_cast<std::uint32_t>(EPOLLIN)) |
        (blocked_ && !stalled_ ? static_cast<std::uint32_t>(EPOLLOUT) : 0U);
    if (wanted != interest_) {
        interest_ = wanted;
        loop_.watch(*this, wanted);
    }
}

}  // namespace millrace::vllm_sim

#include "tests/support/fault_pipe.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace millrace::test {

namespace {

constexpr std::size_t kMostHeld = 256 * 1024;
constexpr std::size_t kMostRead = 16 * 1024;
/// Bounds of one step, so that a busy connection does not starve the others.
constexpr int kMostRounds = 16;
constexpr int kMostWrites = 256;

Duration delay(const Toxics& toxics, Random& random) {
    const auto most = static_cast<std::uint32_t>(std::max<std::int64_t>(toxics.jitter.count(), 0));
    return toxics.latency + Toxics::Micros(most == 0 ? 0 : random.below(most + 1));
}

}  // namespace

FaultPipe::FaultPipe(int from, int to, std::atomic<std::uint64_t>& total)
    : from_(from), to_(to), total_(total) {}

FaultPipe::State FaultPipe::step(const Toxics& toxics, Instant now, Random& random) {
    if (muted_ || lost_ || toxics.swallow) {
        lost_ = lost_ || held_bytes_ > 0;
        held_.clear();
        held_bytes_ = 0;
    }
    // What was written makes room for what could not be read.
    for (int round = 0; round < kMostRounds; ++round) {
        due_ = Instant::max();
        const auto passed_before = passed_;
        const bool arrived = read(toxics, now, random);
        const State state = write(toxics, now);
        if (state != State::open || (!arrived && passed_ == passed_before)) {
            return state;
        }
    }
    due_ = now;
    return State::open;
}

void FaultPipe::source_failed() {
    if (end_ == End::fin) {
        end_ = End::reset;
        end_passed_ = false;
    }
}

void FaultPipe::mute() {
    muted_ = true;
    held_.clear();
    held_bytes_ = 0;
}

/// One read; true when there may be more.
bool FaultPipe::read(const Toxics& toxics, Instant now, Random& random) {
    if (end_ != End::none || held_bytes_ >= kMostHeld) {
        return false;
    }
    char buffer[kMostRead];
    const auto count = ::recv(from_, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (count > 0 && (muted_ || lost_ || toxics.swallow)) {
        lost_ = true;
        return true;
    }
    arrival_ = std::max(arrival_, now + delay(toxics, random));
    if (count > 0) {
        const auto size = static_cast<std::size_t>(count);
        held_.push_back({.bytes = std::string(buffer, size), .due = arrival_});
        held_bytes_ += size;
        return true;
    }
    end_ = count == 0 ? End::fin : End::reset;
    return false;
}

FaultPipe::State FaultPipe::write(const Toxics& toxics, Instant now) {
    for (int writes = 0; writes < kMostWrites; ++writes) {
        if (const auto state = cut(toxics)) {
            return *state;
        }
        if (held_.empty()) {
            return finish(toxics, now);
        }
        auto& chunk = held_.front();
        const Instant ready = std::max(chunk.due, paused_until_);
        if (ready > now) {
            due_ = ready;
            return State::open;
        }
        const auto count = ::send(to_, chunk.bytes.data() + chunk.sent, next_piece(toxics, chunk),
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) {
            return errno == EAGAIN || errno == EINTR ? State::open : State::unreachable;
        }
        pass(static_cast<std::size_t>(count), toxics, now);
    }
    due_ = now;
    return State::open;
}

std::optional<FaultPipe::State> FaultPipe::cut(const Toxics& toxics) const {
    const auto reached = [this](const std::optional<std::size_t>& limit) {
        return limit && passed_ >= *limit && (*limit > 0 || !held_.empty());
    };
    if (muted_) {
        return std::nullopt;
    }
    if (reached(toxics.reset_after)) {
        return State::reset;
    }
    if (reached(toxics.close_after)) {
        return State::close;
    }
    return std::nullopt;
}

std::size_t FaultPipe::next_piece(const Toxics& toxics, const Chunk& chunk) const {
    std::size_t size = chunk.bytes.size() - chunk.sent;
    if (toxics.slice > 0) {
        size = std::min(size, toxics.slice);
    }
    if (toxics.bytes_per_second > 0) {
        // A hundredth of a second's worth at a time: even, and few system calls.
        size = std::min(size, std::max<std::size_t>(1, toxics.bytes_per_second / 100));
    }
    for (const auto& limit : {toxics.close_after, toxics.reset_after}) {
        if (limit) {
            size = std::min(size, *limit - passed_);
        }
    }
    return size;
}

void FaultPipe::pass(std::size_t count, const Toxics& toxics, Instant now) {
    auto& chunk = held_.front();
    chunk.sent += count;
    if (chunk.sent == chunk.bytes.size()) {
        held_.pop_front();
    }
    held_bytes_ -= count;
    passed_ += count;
    total_ += count;
    if (toxics.bytes_per_second > 0) {
        const auto nanoseconds = 1'000'000'000 * count / toxics.bytes_per_second;
        paused_until_ =
            std::max(paused_until_, now) + Duration(static_cast<Duration::rep>(nanoseconds));
    }
    if (toxics.slice > 0 && toxics.slice_delay.count() > 0) {
        paused_until_ = std::max(paused_until_, now + toxics.slice_delay);
    }
}

/// What becomes of the source's end after its last byte.
FaultPipe::State FaultPipe::finish(const Toxics& toxics, Instant now) {
    if (end_ == End::none) {
        return State::open;
    }
    if (end_passed_ || muted_ || toxics.half_open) {
        return State::ended;
    }
    const Instant ready = arrival_ + (end_ == End::fin ? toxics.slow_close : Toxics::Micros(0));
    if (ready > now) {
        due_ = ready;
        return State::open;
    }
    if (end_ == End::reset) {
        return State::reset;
    }
    ::shutdown(to_, SHUT_WR);
    end_passed_ = true;
    return State::ended;
}

}  // namespace millrace::test

#include "gateway/upstream/attempt.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "config/base/assert.hpp"
#include "gateway/upstream/dial.hpp"
#include "gateway/upstream/timeout_error.hpp"

namespace millrace::gateway {
namespace {

constexpr std::size_t kReadSize = std::size_t{64} * 1024;

}  // namespace

Attempt::Attempt(Loop& loop, UpstreamPool& pool, AbortSignal& abort, const AttemptOptions& options)
    : loop_(loop),
      pool_(pool),
      abort_(abort),
      options_(options),
      timer_([](void* self) { static_cast<Attempt*>(self)->interrupt(Interrupt::deadline); }, this),
      awaiting_content_(options.is_stream),
      listener_(
          abort, [](void* self) { static_cast<Attempt*>(self)->interrupt(Interrupt::aborted); },
          this) {}

void Attempt::interrupt(Interrupt why) {
    if (why == Interrupt::deadline && !waiting_ && phase_ != Phase::connecting) {
        return;  // the next wait is armed anew
    }
    if (interrupt_ == Interrupt::none) {
        interrupt_ = why;
    }
    if (connection_ == nullptr) {
        return;
    }
    if (phase_ == Phase::connecting) {
        connection_->socket.close();
    } else {
        connection_->socket.cancel();
    }
}

void Attempt::arm(Instant phase_deadline, Errc code) {
    deadline_code_ = phase_deadline <= options_.total_deadline ? code : Errc::total_timeout;
    loop_.arm(timer_, std::min(phase_deadline, options_.total_deadline));
}

void Attempt::arm_for_body() {
    const Instant idle = loop_.recent() + options_.timeouts.idle;
    const Instant token = sent_at_ + options_.timeouts.first_token;
    if (awaiting_content_ && token < idle) {
        arm(token, Errc::first_token_timeout);
    } else {
        arm(idle, Errc::idle_timeout);
    }
}

Error Attempt::interrupted() const {
    if (interrupt_ == Interrupt::aborted) {
        return to_error(abort_.reason());
    }
    return timeout_error(deadline_code_, options_.timeouts, options_.total_limit);
}

Error Attempt::connection_lost() const {
    if (phase_ == Phase::body) {
        return {Errc::upstream_truncated, Origin::upstream,
                "The backend's answer ended before it was complete."};
    }
    return {Errc::upstream_closed, Origin::upstream,
            "The backend closed the connection before it answered."};
}

Task<Result<void>> Attempt::connect(const routing::EndpointState& endpoint,
                                    const BackendRuntime& backend) {
    if (interrupt_ != Interrupt::none) {
        co_return std::unexpected(interrupted());
    }
    const auto* tls = endpoint.address.https ? backend.tls.get() : nullptr;
    if (!options_.fresh_connection) {
        connection_ = pool_.take(endpoint.generation, tls);
    }
    if (connection_ != nullptr) {
        reused_ = true;
        phase_ = Phase::sending;
        co_return Result<void>{};
    }
    arm(loop_.recent() + options_.timeouts.connect, Errc::upstream_connect_timeout);
    auto dialled = co_await dial(loop_, connection_, endpoint, backend);
    if (interrupt_ != Interrupt::none) {
        co_return std::unexpected(interrupted());
    }
    if (dialled) {
        phase_ = Phase::sending;
    }
    co_return dialled;
}

Task<Result<void>> Attempt::send(Pieces pieces) {
    MILLRACE_ASSERT(phase_ == Phase::sending);
    sent_at_ = loop_.recent();
    arm(sent_at_ + options_.timeouts.first_byte, Errc::first_byte_timeout);
    ++connection_->requests;
    auto& socket = connection_->socket;
    connection_->parser.reset(options_.is_head);
    while (!pieces.empty()) {
        const IoResult written = socket.write_some(pieces);
        if (written.status == IoStatus::ok) {
            pieces = drop_written(pieces, written.bytes);
            continue;
        }
        if (written.status != IoStatus::blocked) {
            break;  // it may have answered before it hung up: read_head() finds out
        }
        // A backend that answers early stops reading; the answer ends the wait.
        socket.set_listener([](void* self) { static_cast<Socket*>(self)->cancel(); }, &socket);
        waiting_ = true;
        co_await socket.writable();
        waiting_ = false;
        socket.set_listener(nullptr, nullptr);
        if (interrupt_ != Interrupt::none) {
            co_return std::unexpected(interrupted());
        }
        if (socket.may_read()) {
            break;
        }
    }
    sent_whole_ = pieces.empty();
    phase_ = Phase::head;
    co_return Result<void>{};
}

void Attempt::begin_wait() {
    if (in_.size() == 0) {
        in_.release();
    }
    waiting_ = true;
}

Result<bool> Attempt::fill() {
    waiting_ = false;
    if (interrupt_ != Interrupt::none) {
        return std::unexpected(interrupted());
    }
    if (!in_) {
        in_ = loop_.buffers().get(kReadSize);
    }
    const IoResult got = connection_->socket.read_some(in_.tail(), in_.room());
    switch (got.status) {
        case IoStatus::ok:
            in_.commit(got.bytes);
            bytes_read_ += got.bytes;
            return true;
        case IoStatus::blocked: return false;
        case IoStatus::eof: saw_eof_ = true; return true;
        case IoStatus::failed: break;
    }
    return std::unexpected(connection_lost());
}

Result<bool> Attempt::parse_head() {
    auto& parser = connection_->parser;
    for (;;) {
        const auto status = parser.parse(in_.view());
        if (!status) {
            return std::unexpected(status.error());
        }
        if (*status == http1::ParseStatus::need_more) {
            return false;
        }
        if (!parser.head().informational()) {
            return true;
        }
        // An interim response: dropped, the final one follows.
        const std::string rest(in_.view().substr(parser.consumed()));
        in_.clear();
        in_.append(rest);
        if (rest.empty()) {
            return false;
        }
    }
}

Task<Result<void>> Attempt::read_head() {
    MILLRACE_ASSERT(phase_ == Phase::head);
    for (;;) {
        for (bool filled = false; !filled;) {
            if (!connection_->socket.may_read()) {
                begin_wait();
                co_await connection_->socket.readable();
            }
            const auto got = fill();
            if (!got) {
                co_return std::unexpected(got.error());
            }
            filled = *got;
        }
        if (saw_eof_) {
            co_return std::unexpected(connection_lost());
        }
        const auto complete = parse_head();
        if (!complete) {
            co_return std::unexpected(complete.error());
        }
        if (*complete) {
            break;
        }
        if (in_.room() == 0) {
            loop_.buffers().grow(in_, 2 * in_.capacity());
        }
    }
    phase_ = Phase::body;
    body_ = http1::BodyDecoder(head().framing);
    undecoded_ = in_.view().substr(connection_->parser.consumed());
    co_return Result<void>{};
}

bool Attempt::body_came_with_head() const {
    const auto kind = head().framing.kind;
    return kind == http1::BodyKind::none ||
           (kind == http1::BodyKind::length && (body_.is_complete(false) || !undecoded_.empty()));
}

void Attempt::decode(std::vector<std::string_view>& pieces) {
    if (const auto decoded = body_.decode(undecoded_, pieces); !decoded) {
        broken_ = Error{Errc::upstream_truncated, Origin::upstream,
                        "The backend's answer broke off: " + decoded.error().detail};
    }
}

Task<Result<BodyProgress>> Attempt::read(std::vector<std::string_view>& pieces) {
    MILLRACE_ASSERT(phase_ == Phase::body);
    pieces.clear();
    if (broken_) {
        co_return std::unexpected(*broken_);
    }
    for (;;) {
        decode(pieces);
        if (!pieces.empty() && broken_) {
            co_return BodyProgress::more;
        }
        if (broken_) {
            co_return std::unexpected(*broken_);
        }
        if (body_.is_complete(saw_eof_)) {
            phase_ = Phase::done;
            timer_.disarm();
            co_return BodyProgress::complete;
        }
        if (!pieces.empty()) {
            co_return BodyProgress::more;
        }
        if (saw_eof_) {
            co_return std::unexpected(connection_lost());
        }
        in_.clear();
        arm_for_body();
        for (bool filled = false; !filled;) {
            if (!connection_->socket.may_read()) {
                begin_wait();
                co_await connection_->socket.readable();
            }
            const auto got = fill();
            if (!got) {
                co_return std::unexpected(got.error());
            }
            filled = *got;
        }
        undecoded_ = in_.view();
    }
}

std::string_view Attempt::join(std::vector<std::string_view>& pieces) {
    if (pieces.empty()) {
        return {};
    }
    // All pieces lie in our own buffer, in order, with chunk framing between them.
    char* const begin = in_.data() + (pieces.front().data() - in_.data());
    std::size_t size = pieces.front().size();
    for (std::size_t i = 1; i < pieces.size(); ++i) {
        std::memmove(begin + size, pieces[i].data(), pieces[i].size());
        size += pieces[i].size();
    }
    pieces.resize(1);
    pieces.front() = {begin, size};
    return pieces.front();
}

void Attempt::keep_head(std::string& storage) {
    storage.assign(in_.view().substr(0, connection_->parser.consumed()));
    connection_->parser.head().rebase(in_.data(), storage.data());
}

bool Attempt::read_available(std::vector<std::string_view>& pieces) {
    pieces.clear();
    if (phase_ != Phase::body || connection_ == nullptr || !connection_->socket.is_open()) {
        return false;
    }
    if (!in_) {
        in_ = loop_.buffers().get(kReadSize);
    }
    in_.clear();
    const IoResult got = connection_->socket.read_some(in_.tail(), in_.room());
    if (got.status != IoStatus::ok) {
        return false;
    }
    in_.commit(got.bytes);
    bytes_read_ += got.bytes;
    undecoded_ = in_.view();
    decode(pieces);
    return !pieces.empty() && !broken_;
}

void Attempt::finish(const config::Backend& settings) {
    MILLRACE_ASSERT(phase_ == Phase::done);
    const auto& answer = head();
    const bool clean = answer.keep_alive && !answer.need_eof && !saw_eof_ && sent_whole_ &&
                       undecoded_.empty() && interrupt_ == Interrupt::none &&
                       connection_->socket.is_open();
    in_.release();
    if (clean) {
        pool_.put(std::move(connection_), settings.max_idle_connections, settings.idle_timeout);
    } else {
        connection_->socket.close();
    }
}

}  // namespace millrace::gateway

#include "gateway/server/request_body.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "gateway/http1/serializer.hpp"

namespace millrace::gateway {
namespace {

constexpr std::size_t kChunkedStart = std::size_t{16} * 1024;

std::unexpected<Error> over_limit(std::uint64_t limit) {
    return failure(
        Errc::body_too_large, Origin::downstream,
        "The body is over the limit of " + std::to_string(limit) + " bytes (limits.body).");
}

std::unexpected<Error> overloaded() {
    return failure(Errc::server_overloaded, Origin::policy,
                   "The gateway holds as many request bytes as it may (limits.buffered_bytes); try "
                   "again shortly.");
}

}  // namespace

RequestBody::RequestBody(Client& client, http1::HeadParser& parser,
                         const config::ClientTimeouts& timeouts)
    : client_(client),
      parser_(parser),
      head_(parser.head()),
      head_size_(parser.consumed()),
      timeouts_(timeouts) {}

Task<Result<std::string_view>> RequestBody::read_all(std::uint64_t limit, BudgetLease& lease,
                                                     BodyObserver* observer) {
    switch (head_.framing.kind) {
        case http1::BodyKind::none:
        case http1::BodyKind::until_close: break;
        case http1::BodyKind::length: {
            const auto size = head_.framing.content_length;
            if (size > limit) {
                co_return over_limit(limit);
            }
            if (!lease.grow_to(size)) {
                co_return overloaded();
            }
            if (client_.in.size() - head_size_ < size) {
                co_return taken(co_await read_length(size, lease, observer));
            }
            const auto rest = client_.in.view().substr(head_size_);
            keep_surplus(rest.substr(size));
            co_return taken(rest.substr(0, size));
        }
        case http1::BodyKind::chunked:
            co_return taken(co_await read_chunked(limit, lease, observer));
    }
    keep_surplus(client_.in.view().substr(head_size_));
    co_return taken(std::string_view{});
}

Result<std::string_view> RequestBody::taken(Result<std::string_view> body) {
    if (body) {
        read_ = true;
        client_.watch();
    }
    return body;
}

Task<bool> RequestBody::send_continue() {
    if (!head_.expect_continue) {
        co_return true;
    }
    std::array<std::string_view, 1> line{http1::kContinue};
    ByteBudget tiny(http1::kContinue.size());
    co_return co_await client_.write_all(line, timeouts_.write_stall, tiny);
}

void RequestBody::begin_clock() {
    deadline_ = client_.loop.now() + timeouts_.body_grace;
}

/// A token bucket as deep as the grace: whoever sends fast cannot save up a long silence, during
/// which the bytes sent would occupy the budget.
void RequestBody::earn_time(std::uint64_t bytes) {
    const Duration earned = Duration(std::chrono::seconds(1)) * static_cast<std::int64_t>(bytes) /
                            static_cast<std::int64_t>(timeouts_.body_rate);
    deadline_ = std::min(deadline_ + earned, client_.loop.recent() + timeouts_.body_grace);
}

Task<Result<void>> RequestBody::receive(Buffer& target, std::size_t most) {
    for (;;) {
        const IoResult got = client_.socket.read_some(target.tail(), std::min(target.room(), most));
        switch (got.status) {
            case IoStatus::ok:
                target.commit(got.bytes);
                received_ += got.bytes;
                earn_time(got.bytes);
                co_return Result<void>{};
            case IoStatus::eof:
            case IoStatus::failed:
                client_.abort.fire(AbortReason::client_closed);
                co_return std::unexpected(to_error(AbortReason::client_closed));
            case IoStatus::blocked: break;
        }
        switch (co_await client_.wait_readable(deadline_)) {
            case WaitResult::ready: break;
            case WaitResult::timeout:
                co_return failure(Errc::body_timeout, Origin::downstream,
                                  "The body arrived slower than " +
                                      std::to_string(timeouts_.body_rate) +
                                      " bytes per second (client_timeouts.body_rate).");
            case WaitResult::closed:
                client_.abort.fire(AbortReason::client_closed);
                co_return std::unexpected(to_error(client_.abort.reason()));
        }
    }
}

Task<Result<std::string_view>> RequestBody::read_length(std::uint64_t size, BudgetLease& lease,
                                                        BodyObserver* observer) {
    static_cast<void>(lease);
    begin_clock();
    if (!co_await send_continue()) {
        co_return std::unexpected(to_error(client_.abort.reason()));
    }
    body_ = client_.loop.buffers().get(size);
    body_.append(client_.in.view().substr(head_size_));
    while (body_.size() < size) {
        if (observer != nullptr && body_.size() > 0) {
            if (auto seen = observer->on_body(body_.view()); !seen) {
                co_return std::unexpected(std::move(seen.error()));
            }
        }
        if (auto got = co_await receive(body_, size - body_.size()); !got) {
            co_return std::unexpected(std::move(got.error()));
        }
    }
    co_return body_.view();
}

Result<void> RequestBody::take_chunks(std::string_view raw, std::uint64_t limit,
                                      BudgetLease& lease) {
    auto& buffers = client_.loop.buffers();
    while (!raw.empty() && !chunks_.done()) {
        const auto piece = chunks_.next(raw);
        if (!piece) {
            return std::unexpected(piece.error());
        }
        const auto announced =
            std::max<std::uint64_t>(chunks_.announced(), body_.size() + piece->size());
        if (announced > limit) {
            return over_limit(limit);
        }
        if (piece->size() > body_.room()) {
            const auto capacity = std::max(body_.size() + piece->size(), 2 * body_.capacity());
            if (!lease.grow_to(capacity)) {
                return overloaded();
            }
            buffers.grow(body_, capacity);
        }
        body_.append(*piece);
    }
    if (chunks_.done()) {
        keep_surplus(raw);
    }
    return {};
}

Task<Result<std::string_view>> RequestBody::read_chunked(std::uint64_t limit, BudgetLease& lease,
                                                         BodyObserver* observer) {
    begin_clock();
    if (!lease.grow_to(kChunkedStart)) {
        co_return overloaded();
    }
    body_ = client_.loop.buffers().get(kChunkedStart);
    if (auto taken = take_chunks(client_.in.view().substr(head_size_), limit, lease); !taken) {
        co_return std::unexpected(std::move(taken.error()));
    }
    if (!chunks_.done() && !co_await send_continue()) {
        co_return std::unexpected(to_error(client_.abort.reason()));
    }
    Buffer raw;
    while (!chunks_.done()) {
        if (observer != nullptr && body_.size() > 0) {
            if (auto seen = observer->on_body(body_.view()); !seen) {
                co_return std::unexpected(std::move(seen.error()));
            }
        }
        if (!raw) {
            raw = client_.loop.buffers().get(Client::kFirstRead);
        }
        raw.clear();
        if (auto got = co_await receive(raw, raw.capacity()); !got) {
            co_return std::unexpected(std::move(got.error()));
        }
        if (auto taken = take_chunks(raw.view(), limit, lease); !taken) {
            co_return std::unexpected(std::move(taken.error()));
        }
    }
    co_return body_.view();
}

void RequestBody::keep_surplus(std::string_view bytes) {
    if (!bytes.empty()) {
        client_.loop.buffers().grow(client_.ahead,
                                    std::max(Client::kAhead, client_.ahead.size() + bytes.size()));
        client_.ahead.append(bytes);
    }
}

bool RequestBody::skip() {
    if (read_) {
        return true;
    }
    const auto rest = client_.in.view().substr(head_size_);
    if (head_.framing.kind == http1::BodyKind::none) {
        keep_surplus(rest);
        return read_ = true;
    }
    if (head_.framing.kind == http1::BodyKind::length && received_ == 0 &&
        rest.size() >= head_.framing.content_length) {
        keep_surplus(rest.substr(head_.framing.content_length));
        return read_ = true;
    }
    return false;
}

void RequestBody::release() {
    body_.release();
    client_.in.release();
    parser_.forget_fields();
}

}  // namespace millrace::gateway

#include "tests/support/raw_client.hpp"

#include <sys/socket.h>

#include "tests/support/sse.hpp"

namespace millrace::test {

RawClient::RawClient(std::uint16_t port) : socket_(connect_to(loopback(), port)) {}

bool RawClient::send(std::string_view bytes, Millis limit) {
    return socket_ && write_all(socket_, bytes, Deadline(limit));
}

bool RawClient::send_in_pieces(std::string_view bytes, std::size_t size, Millis limit) {
    const Deadline deadline(limit);
    while (!bytes.empty()) {
        const auto piece = bytes.substr(0, size);
        if (!socket_ || !write_all(socket_, piece, deadline)) {
            return false;
        }
        bytes.remove_prefix(piece.size());
    }
    return true;
}

bool RawClient::fill(const Deadline& deadline) {
    if (!socket_) {
        outcome_ = ReadOutcome::end;
        return false;
    }
    std::string bytes;
    outcome_ = read_some(socket_, bytes, deadline);
    reader_.feed(bytes);
    return outcome_ == ReadOutcome::data;
}

std::optional<Message> RawClient::read_response(Millis limit) {
    const Deadline deadline(limit);
    for (;;) {
        if (auto message = reader_.next()) {
            return message;
        }
        if (!fill(deadline)) {
            return outcome_ == ReadOutcome::timeout ? std::nullopt : reader_.next(true);
        }
    }
}

std::optional<Message> RawClient::read_final_response(Millis limit) {
    const Deadline deadline(limit);
    for (;;) {
        auto message = read_response(Millis(deadline.left()));
        if (!message || message->status() >= 200) {
            return message;
        }
    }
}

bool RawClient::read_until(const std::function<bool(const Message&)>& enough, Millis limit) {
    const Deadline deadline(limit);
    for (;;) {
        if (const auto message = reader_.partial(); message && enough(*message)) {
            return true;
        }
        if (!fill(deadline)) {
            return false;
        }
    }
}

bool RawClient::read_event(std::string_view text, Millis limit) {
    return read_until(
        [&](const Message& message) {
            for (const auto& event : sse_events(message.body)) {
                if (event.data.contains(text)) {
                    return true;
                }
            }
            return false;
        },
        limit);
}

std::string RawClient::read_to_end(Millis limit) {
    const Deadline deadline(limit);
    while (fill(deadline)) {
    }
    return reader_.pending();
}

bool RawClient::closed_by_peer(Millis limit) {
    return !fill(Deadline(limit)) && outcome_ != ReadOutcome::timeout;
}

void RawClient::limit_receive_buffer(int bytes) {
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

Message call(std::uint16_t port, std::string_view request_bytes, Millis limit) {
    RawClient client(port);
    if (request_bytes.starts_with("HEAD ")) {
        client.expect_no_body(true);
    }
    client.send(request_bytes, limit);
    return client.read_final_response(limit).value_or(Message{});
}

Message get(std::uint16_t port, std::string_view target, const Headers& headers) {
    return call(port, request("GET", target, headers));
}

}  // namespace millrace::test

// A client on a blocking socket that can do what a well-behaved library cannot: send in pieces,
// stop reading, half-close, reset. Every call has a deadline. Thread-safety: none; one thread per
// client.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/deadline.hpp"
#include "tests/support/http_message.hpp"
#include "tests/support/socket.hpp"

namespace millrace::test {

class RawClient {
public:
    /// Connects to loopback():port; connected() tells whether that worked.
    explicit RawClient(std::uint16_t port);

    bool connected() const { return static_cast<bool>(socket_); }
    bool send(std::string_view bytes, Millis limit = kPatience);
    /// Sends `size` bytes per segment, without waiting in between.
    bool send_in_pieces(std::string_view bytes, std::size_t size = 1, Millis limit = kPatience);

    /// Next message of the connection. When the connection ends first, what there is of it with
    /// complete = false; nullopt when not even a head came, or when the deadline passed.
    std::optional<Message> read_response(Millis limit = kPatience);
    /// Interim (1xx) responses are left out.
    std::optional<Message> read_final_response(Millis limit = kPatience);
    /// Waits until `enough` holds for what there is of the current response.
    bool read_until(const std::function<bool(const Message&)>& enough, Millis limit = kPatience);
    /// Waits until a whole SSE event of the current response is there whose data contains `text`.
    bool read_event(std::string_view text, Millis limit = kPatience);
    /// Everything up to the end of the connection.
    std::string read_to_end(Millis limit = kPatience);
    /// True when the peer ended the connection within `limit` and nothing unread was left.
    bool closed_by_peer(Millis limit = kPatience);
    /// How the last read ended.
    ReadOutcome last_outcome() const { return outcome_; }

    void expect_no_body(bool value) { reader_.expect_no_body(value); }
    void half_close() { test::half_close(socket_); }
    void reset() { reset_connection(socket_); }
    void close() { socket_.reset(); }
    /// Bounds the kernel's receive buffer, so that a client that does not read is felt soon. Call
    /// before sending.
    void limit_receive_buffer(int bytes);
    const Fd& socket() const { return socket_; }

private:
    bool fill(const Deadline& deadline);

    Fd socket_;
    MessageReader reader_{MessageReader::Kind::response};
    ReadOutcome outcome_ = ReadOutcome::data;
};

/// One request on a connection of its own; an empty Message when there was no answer.
Message call(std::uint16_t port, std::string_view request_bytes, Millis limit = kPatience);
Message get(std::uint16_t port, std::string_view target, const Headers& headers = {});

}  // namespace millrace::test

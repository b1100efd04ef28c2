// HTTP/1.1 as a test sees it: a small reader of complete messages, independent of our codec, and
// builders of requests. It is lenient where the wire is ambiguous and keeps the raw bytes, so a
// test can look at exactly what was sent. Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace millrace::test {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// One message. `complete` is false when the connection ended before the framing said so.
struct Message {
    std::string start_line;
    Headers headers;
    std::string body;  ///< decoded when chunked
    std::string raw;   ///< everything, as it was on the wire
    bool chunked = false;
    bool complete = false;
    std::size_t connection = 0;  ///< requests only: index of the backend's connection

    /// Status of a response; 0 when there is none.
    int status() const;
    /// First token of a request line, and its target.
    std::string method() const;
    std::string target() const;
    /// Value of the first field with that name (case-insensitive); empty when absent.
    std::string header(std::string_view name) const;
    std::size_t count(std::string_view name) const;
    bool has(std::string_view name) const { return count(name) > 0; }
    /// Body as JSON; a discarded value when it is none.
    nlohmann::json json() const;
    /// `error.code` of an OpenAI body, or `error.type` of an Anthropic one without code; empty when
    /// there is none.
    std::string error_code() const;
    std::string error_message() const;
};

/// Cuts messages off the front of a byte stream.
class MessageReader {
public:
    enum class Kind { request, response };
    explicit MessageReader(Kind kind) : kind_(kind) {}

    /// The response to a HEAD request has no body.
    void expect_no_body(bool value) { no_body_ = value; }
    void feed(std::string_view bytes) { buffer_.append(bytes); }
    /// A complete message, when there is one. With `at_end`, also what the end of the connection
    /// completes or cuts.
    std::optional<Message> next(bool at_end = false);
    /// Bytes of messages that are not complete yet.
    const std::string& pending() const { return buffer_; }
    /// Head of the pending message, as soon as it is complete, with as much of the body as is
    /// there.
    std::optional<Message> partial() const;

private:
    Kind kind_;
    bool no_body_ = false;
    std::string buffer_;
};

/// Request bytes with Host, Content-Length when there is a body, and `headers`.
std::string request(std::string_view method, std::string_view target, const Headers& headers = {},
                    std::string_view body = {});

/// POST of a JSON document.
std::string post(std::string_view target, const nlohmann::json& body, Headers headers = {});
std::string post_text(std::string_view target, std::string_view body, Headers headers = {});

/// A chat request of one user message.
nlohmann::json chat(std::string_view model, bool stream = false, std::string_view text = "Hello");

/// A response with Content-Length.
std::string response(int status, std::string_view body, const Headers& headers = {});
std::string json_response(const nlohmann::json& body, int status = 200);
/// Head of a chunked event stream, one chunk, and the last chunk.
std::string stream_head();
std::string chunk(std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

bool same_name(std::string_view a, std::string_view b);

}  // namespace millrace::test

// ResponseWriter: ResponseSink over a Client: HTTP/1.1 framing of one answer, each write one system
// call where the kernel takes it. Thread-safety: none; one per request.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/pipeline/ports.hpp"
#include "gateway/server/client.hpp"
#include "gateway/server/request_body.hpp"

namespace millrace::gateway {

/// What the answer must do about the connection, decided by the session.
struct ResponseRules {
    bool is_http10 = false;
    bool is_head = false;
    bool keep_alive = true;
    Duration write_stall{};
};

class ResponseWriter final : public ResponseSink {
public:
    /// `head` and `gather` are reused between requests. An answer that begins before `body` was
    /// read, and cannot skip it, is the connection's last.
    ResponseWriter(Client& client, RequestBody& body, ByteBudget& budget,
                   const ResponseRules& rules, std::string& head,
                   std::vector<std::string_view>& gather);

    void begin(const AnswerHead& head) override;
    Task<bool> write(Pieces pieces, bool last) override;
    Task<void> cut(std::string_view farewell) override;
    Task<bool> respond(const AnswerHead& head, std::string_view body, bool closes) override;
    bool committed() const override { return written_ > 0; }
    std::uint64_t bytes_written() const override { return written_; }

    /// The answer is complete and another request may follow it.
    bool keeps_connection() const { return rules_.keep_alive && complete_; }

private:
    enum class Mode : std::uint8_t { none, length, chunked, until_close };

    Client& client_;
    RequestBody& body_;
    ByteBudget& budget_;
    ResponseRules rules_;
    std::string& head_;
    std::vector<std::string_view>& gather_;
    Mode mode_ = Mode::none;
    std::uint64_t written_ = 0;
    bool complete_ = false;
};

}  // namespace millrace::gateway

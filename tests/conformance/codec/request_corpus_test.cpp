// Every request of the corpus, read as a server would read it: heads, bodies, the next request,
// until the connection has to end. Whole, byte by byte, and behind a valid request on the same
// connection.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "gateway/http1/chunk_decoder.hpp"
#include "gateway/http1/head_parser.hpp"
#include "tests/conformance/codec/corpus.hpp"

namespace millrace::conformance {
namespace {

using http1::BodyKind;

struct Message {
    std::string target;
    std::string body;
    bool operator==(const Message&) const = default;
};

/// A server's side of one connection, without the socket.
class Server {
public:
    void receive(std::string_view bytes) {
        buffer_ += bytes;
        while (open() && (in_body_ ? read_body() : read_head())) {
        }
    }

    bool open() const { return !closed_ && !error_; }
    bool idle() const { return open() && !in_body_ && buffer_.empty(); }
    const std::optional<Error>& error() const { return error_; }
    const std::vector<Message>& messages() const { return messages_; }

private:
    /// True if there may be more to do with what the buffer holds.
    bool read_head() {
        const auto status = parser_.parse(buffer_);
        if (!status) {
            error_ = status.error();
            return false;
        }
        if (*status == http1::ParseStatus::need_more) {
            return false;
        }
        const auto& head = parser_.head();
        current_ = {.target = std::string(head.target), .body = {}};
        framing_ = head.framing;
        keep_alive_ = head.keep_alive;
        chunks_.reset();
        buffer_.erase(0, parser_.consumed());
        parser_.reset();
        in_body_ = true;
        return true;
    }

    bool read_body() {
        if (framing_.kind == BodyKind::chunked) {
            const auto used =
                chunks_.decode(buffer_, [this](std::string_view piece) { current_.body += piece; });
            if (!used) {
                error_ = used.error();
                return false;
            }
            buffer_.erase(0, *used);
            return chunks_.done() && finish();
        }
        const auto take =
            std::min<std::uint64_t>(framing_.content_length - current_.body.size(), buffer_.size());
        current_.body += buffer_.substr(0, take);
        buffer_.erase(0, take);
        return current_.body.size() == framing_.content_length && finish();
    }

    bool finish() {
        messages_.push_back(current_);
        in_body_ = false;
        closed_ = !keep_alive_;
        return true;
    }

    http1::HeadParser parser_;
    http1::ChunkDecoder chunks_;
    http1::Framing framing_;
    std::string buffer_;
    Message current_;
    std::vector<Message> messages_;
    std::optional<Error> error_;
    bool keep_alive_ = true;
    bool in_body_ = false;
    bool closed_ = false;
};

Server serve(std::string_view bytes, std::size_t step) {
    Server server;
    for (std::size_t at = 0; at < bytes.size() && server.open(); at += step) {
        server.receive(bytes.substr(at, step));
    }
    return server;
}

constexpr std::string_view kValid =
    "POST /v1/x HTTP/1.1\r\nHost: gw\r\nContent-Length: 4\r\n\r\nq=42";

/// Judges what came after `before` valid messages.
void expect_verdict(const CorpusCase& c, const Server& server, std::size_t before,
                    const char* mode) {
    SCOPED_TRACE(c.id + " " + mode + ": " + (server.error() ? server.error()->detail : "no error"));
    ASSERT_GE(server.messages().size(), before);
    const std::size_t accepted = server.messages().size() - before;
    if (c.verdict == "reject") {
        EXPECT_EQ(accepted, 0U);
        EXPECT_FALSE(server.idle()) << "a refused request ends the connection";
    } else if (c.verdict == "accept") {
        EXPECT_GE(accepted, 1U);
        EXPECT_EQ(server.idle(), !c.close);
    }
}

TEST(RequestCorpus, JudgesEveryCaseInEveryMode) {
    const auto cases = load_corpus("http_requests.json");
    ASSERT_EQ(cases.size(), 91U);
    std::size_t rejected = 0;
    for (const auto& c : cases) {
        const auto whole = serve(c.bytes, c.bytes.size());
        expect_verdict(c, whole, 0, "whole");
        rejected += whole.messages().empty() ? 1U : 0U;

        const auto bytewise = serve(c.bytes, 1);
        expect_verdict(c, bytewise, 0, "byte by byte");
        EXPECT_EQ(bytewise.messages(), whole.messages()) << c.id;
        EXPECT_EQ(bytewise.error().has_value(), whole.error().has_value()) << c.id;
        if (whole.error() && bytewise.error()) {
            EXPECT_EQ(bytewise.error()->code, whole.error()->code) << c.id;
        }

        const std::string behind = std::string(kValid) + c.bytes;
        const auto pipelined = serve(behind, behind.size());
        expect_verdict(c, pipelined, 1, "pipelined");
        EXPECT_EQ(pipelined.messages().size(), whole.messages().size() + 1) << c.id;
        EXPECT_EQ(pipelined.messages().front(), (Message{"/v1/x", "q=42"})) << c.id;
    }
    EXPECT_GT(rejected, 60U);
}

struct Answer {
    const char* id;
    Errc code;
};

class RequestCorpusCode : public testing::TestWithParam<Answer> {};

TEST_P(RequestCorpusCode, IsTheOneThatTheRulesName) {
    const auto cases = load_corpus("http_requests.json");
    const auto found = std::find_if(cases.begin(), cases.end(),
                                    [](const CorpusCase& c) { return c.id == GetParam().id; });
    ASSERT_NE(found, cases.end());
    const auto server = serve(found->bytes, found->bytes.size());
    ASSERT_TRUE(server.error());
    EXPECT_EQ(to_string(server.error()->code), to_string(GetParam().code));
}

INSTANTIATE_TEST_SUITE_P(
    Codes, RequestCorpusCode,
    testing::Values(Answer{"RL03", Errc::unsupported_http_version},
                    Answer{"RL17", Errc::bad_target}, Answer{"RL19", Errc::method_not_allowed},
                    Answer{"RL25", Errc::method_not_allowed}, Answer{"HO01", Errc::bad_host},
                    Answer{"HD19", Errc::headers_too_large}, Answer{"HD21", Errc::bad_header},
                    Answer{"CL20", Errc::bad_framing}, Answer{"TE01", Errc::bad_framing},
                    Answer{"TE05", Errc::bad_framing}, Answer{"TE07", Errc::bad_framing},
                    Answer{"TE13", Errc::unsupported_transfer_coding},
                    Answer{"CH23", Errc::bad_chunk}, Answer{"CH29", Errc::bad_chunk},
                    Answer{"CH33", Errc::bad_request_line}, Answer{"CN05", Errc::bad_header}),
    [](const auto& info) { return std::string(info.param.id); });

TEST(RequestCorpus, DeliversTheBodiesOfValidRequests) {
    struct Expected {
        const char* id;
        std::vector<std::string> bodies;
    };
    const auto cases = load_corpus("http_requests.json");
    for (const auto& expected :
         {Expected{"OK03", {"hello"}}, Expected{"OK04", {"HellO world1"}},
          Expected{"OK05", {"abc"}}, Expected{"OK06", {"hello world"}}, Expected{"OK07", {"hello"}},
          Expected{"OK08", {std::string(42, 'x')}}, Expected{"OK10", {"", ""}},
          Expected{"OK14", {"hello"}}, Expected{"CL26", {"1234567890"}},
          Expected{"TE23", {"hello"}}, Expected{"CH25", {"abc"}}, Expected{"CN01", {"q=42"}}}) {
        const auto found = std::find_if(cases.begin(), cases.end(),
                                        [&](const CorpusCase& c) { return c.id == expected.id; });
        ASSERT_NE(found, cases.end()) << expected.id;
        const auto server = serve(found->bytes, 1);
        std::vector<std::string> bodies;
        for (const auto& message : server.messages()) {
            bodies.push_back(message.body);
        }
        EXPECT_EQ(bodies, expected.bodies) << expected.id;
    }
}

}  // namespace
}  // namespace millrace::conformance

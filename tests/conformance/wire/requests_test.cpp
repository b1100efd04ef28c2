// Every request of the corpus against the real binary, whole, byte by byte, and pipelined behind a
// valid request: it is answered as the corpus says, the connection ends when it must, and nothing
// of a rejected request reaches the backend.
#include <memory>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/conformance/wire/corpus.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::test {
namespace {

enum class Delivery { whole, byte_by_byte, pipelined };

constexpr std::string_view kValid = "GET /v1/valid HTTP/1.1\r\nHost: gw\r\n\r\n";
/// Head and body limits are reached by these; one segment per byte would only measure the kernel.
constexpr std::size_t kHuge = 16 * 1024;

class WireRequests : public testing::TestWithParam<std::tuple<CorpusCase, Delivery>> {
protected:
    static void SetUpTestSuite() {
        backend_ = std::make_unique<ScriptedBackend>(ScriptedBackend::always(response(200, "ok")));
        // A body that never ends is given up soon, yet slow machines may be slow.
        gateway_ = std::make_unique<GatewayProcess>(forward_everything(
            backend_->url(), {}, "client_timeouts: {body_grace: 2s, header: 5s}\n"));
    }
    static void TearDownTestSuite() {
        gateway_.reset();
        backend_.reset();
    }

    static std::unique_ptr<ScriptedBackend> backend_;
    static std::unique_ptr<GatewayProcess> gateway_;
};

std::unique_ptr<ScriptedBackend> WireRequests::backend_;
std::unique_ptr<GatewayProcess> WireRequests::gateway_;

void deliver(RawClient& client, const CorpusCase& corpus_case, Delivery delivery) {
    switch (delivery) {
        case Delivery::whole: client.send(corpus_case.bytes); break;
        case Delivery::pipelined: client.send(std::string(kValid) + corpus_case.bytes); break;
        case Delivery::byte_by_byte:
            client.send_in_pieces(corpus_case.bytes, corpus_case.bytes.size() > kHuge ? 997 : 1);
            break;
    }
}

/// What one case led to, the valid request in front left out.
struct Seen {
    std::vector<int> statuses;
    bool closed = false;
    std::size_t forwarded = 0;
    bool connection_served_another = false;
};

/// How many answers the case's own bytes ask for.
std::size_t requests_in(const CorpusCase& corpus_case) {
    return corpus_case.id == "OK10" ? 2 : 1;
}

/// CL26 carries a body on GET: the corpus allows either to consume it or to close; both are checked
/// by a next request.
bool must_close(const CorpusCase& corpus_case) {
    return corpus_case.close && corpus_case.id != "CL26";
}

Seen observe(RawClient& client, const CorpusCase& corpus_case, Delivery delivery,
             const ScriptedBackend& backend) {
    Seen seen;
    const auto before = backend.request_count();
    deliver(client, corpus_case, delivery);
    if (delivery == Delivery::pipelined) {
        const auto first = client.read_final_response();
        EXPECT_TRUE(first && first->status() == 200) << "the valid request in front was not served";
    }
    for (std::size_t i = 0; i < requests_in(corpus_case); ++i) {
        const auto message = client.read_final_response();
        if (!message) {
            break;
        }
        EXPECT_TRUE(message->complete) << message->raw;
        seen.statuses.push_back(message->status());
    }
    if (must_close(corpus_case)) {
        while (const auto more = client.read_final_response(5s * kSlowdown)) {
            seen.statuses.push_back(more->status());
        }
        seen.closed = client.last_outcome() != ReadOutcome::timeout;
    } else if (client.send(kValid)) {
        const auto next = client.read_final_response();
        seen.connection_served_another = next && next->status() == 200;
        seen.closed = !next && client.last_outcome() != ReadOutcome::timeout;
    } else {
        seen.closed = true;
    }
    const std::size_t ours =
        (delivery == Delivery::pipelined ? 1U : 0U) + (seen.connection_served_another ? 1U : 0U);
    seen.forwarded = backend.request_count() - before - ours;
    return seen;
}

void check_accepted(const CorpusCase& corpus_case, const Seen& seen) {
    ASSERT_GE(seen.statuses.size(), requests_in(corpus_case));
    for (std::size_t i = 0; i < requests_in(corpus_case); ++i) {
        if (corpus_case.id == "OK11") {  // OPTIONS *: an answer of our own is fine
            EXPECT_TRUE(seen.statuses[i] == 200 || seen.statuses[i] == 204 ||
                        seen.statuses[i] == 405);
        } else {
            EXPECT_EQ(seen.statuses[i], 200);
            EXPECT_EQ(seen.forwarded, requests_in(corpus_case));
        }
    }
    if (corpus_case.id == "CN01") {
        EXPECT_EQ(seen.statuses.size(), 1U) << "what follows Connection: close was served";
    } else if (corpus_case.id == "CH33" && seen.statuses.size() > 1) {
        EXPECT_EQ(seen.statuses[1], 400);
    }
}

void check_rejected(const CorpusCase& corpus_case, const Seen& seen) {
    ASSERT_FALSE(seen.statuses.empty()) << "no answer before the connection ended";
    EXPECT_EQ(seen.statuses.size(), 1U) << "something after the rejected request was answered";
    EXPECT_GE(seen.statuses[0], 400);
    EXPECT_LT(seen.statuses[0], 506);
    EXPECT_NE(seen.statuses[0], 502);
    EXPECT_EQ(seen.forwarded, 0U) << "a part of a rejected request reached the backend";
    (void)corpus_case;
}

TEST_P(WireRequests, IsAnsweredAsTheCorpusSays) {
    const auto& [corpus_case, delivery] = GetParam();
    SCOPED_TRACE(corpus_case.id + ": expected " + corpus_case.expect);
    RawClient client(gateway_->port());
    ASSERT_TRUE(client.connected());
    const auto seen = observe(client, corpus_case, delivery, *backend_);
    switch (corpus_case.verdict) {
        case CorpusVerdict::accept: check_accepted(corpus_case, seen); break;
        case CorpusVerdict::reject: check_rejected(corpus_case, seen); break;
        case CorpusVerdict::either:
            if (!seen.statuses.empty() && seen.statuses[0] == 200) {
                check_accepted(corpus_case, seen);
            } else {
                check_rejected(corpus_case, seen);
            }
            break;
    }
    if (must_close(corpus_case)) {
        EXPECT_TRUE(seen.closed) << "the connection is still open";
    } else if (corpus_case.verdict == CorpusVerdict::accept) {
        EXPECT_TRUE(seen.connection_served_another || (seen.closed && corpus_case.close));
    }
    // The next caller on a fresh connection is not affected.
    EXPECT_EQ(call(gateway_->port(), kValid).status(), 200);
}

std::string case_name(const testing::TestParamInfo<std::tuple<CorpusCase, Delivery>>& info) {
    static constexpr std::array<const char*, 3> kNames{"Whole", "ByteByByte", "Pipelined"};
    return std::get<0>(info.param).id + kNames[static_cast<std::size_t>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(Corpus, WireRequests,
                         testing::Combine(testing::ValuesIn(load_corpus("http_requests.json")),
                                          testing::Values(Delivery::whole, Delivery::byte_by_byte,
                                                          Delivery::pipelined)),
                         case_name);

using WireForwarding = WireRequests;

TEST_F(WireForwarding, SendsNoHopByHopFieldTrailerOrChunkExtensionUpstream) {
    const auto bytes =
        "POST /v1/marker HTTP/1.1\r\nHost: gw\r\nConnection: upgrade, x-private\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nX-Private: hop\r\nX-Kept: end\r\nTE: "
        "trailers\r\n"
        "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTransfer-Encoding: "
        "chunked\r\n\r\n"
        "3;secret-extension=1\r\nabc\r\n0\r\nX-Trailer: forged\r\n\r\n";
    ASSERT_EQ(call(gateway_->port(), bytes).status(), 200);
    const auto requests = backend_->requests();
    const auto& seen = requests.back();
    ASSERT_EQ(seen.target(), "/v1/marker");
    for (const auto* name : {"upgrade", "http2-settings", "x-private", "te", "keep-alive",
                             "proxy-connection", "x-trailer", "transfer-encoding"}) {
        EXPECT_FALSE(seen.has(name)) << name;
    }
    EXPECT_EQ(seen.header("x-kept"), "end");
    EXPECT_EQ(seen.header("content-length"), "3");
    EXPECT_EQ(seen.body, "abc");
    EXPECT_EQ(seen.raw.find("secret-extension"), std::string::npos);
}

}  // namespace
}  // namespace millrace::test

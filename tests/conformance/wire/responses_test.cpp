// Every response of the corpus through a scripted backend: what is wrong becomes 502 or a cut the
// client can see, never a complete answer; a connection whose framing is in doubt is never used
// again.
#include <map>
#include <memory>

#include <gtest/gtest.h>

#include "tests/conformance/wire/corpus.hpp"
#include "tests/support/gateway_process.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::test {
namespace {

/// Answers a request that carries `x-case` with the bytes of that case, any other with a clean
/// response. Cases that end with the connection are closed after their bytes; the others leave it
/// to the gateway what happens next.
void play_corpus(const std::map<std::string, CorpusCase>& cases, BackendConnection& connection) {
    while (const auto seen = connection.read_request()) {
        const auto id = seen->header("x-case");
        if (id.empty()) {
            connection.send(response(200, "clean"));
            continue;
        }
        connection.send(cases.at(id).bytes);
        if (id == "RS03" || id == "RS13" || id == "RS19") {
            return;
        }
    }
}

class WireResponses : public testing::TestWithParam<CorpusCase> {
protected:
    static void SetUpTestSuite() {
        std::map<std::string, CorpusCase> cases;
        for (const auto& corpus_case : load_corpus("http_responses.json")) {
            cases.emplace(corpus_case.id, corpus_case);
        }
        backend_ = std::make_unique<ScriptedBackend>(
            [cases](BackendConnection& connection) { play_corpus(cases, connection); });
        // One worker, so that a kept connection is met again.
        auto options =
            forward_everything(backend_->url(), "idle_timeout: 60s, timeouts: {idle: 3s}");
        options.workers = 1;
        gateway_ = std::make_unique<GatewayProcess>(std::move(options));
    }
    static void TearDownTestSuite() {
        gateway_.reset();
        backend_.reset();
    }

    static std::unique_ptr<ScriptedBackend> backend_;
    static std::unique_ptr<GatewayProcess> gateway_;
};

std::unique_ptr<ScriptedBackend> WireResponses::backend_;
std::unique_ptr<GatewayProcess> WireResponses::gateway_;

bool is_cut(const std::optional<Message>& answer) {
    return !answer || !answer->complete;
}

TEST_P(WireResponses, IsRelayedRefusedOrCutAsTheCorpusSays) {
    const auto& corpus_case = GetParam();
    SCOPED_TRACE(corpus_case.id + ": expected " + corpus_case.expect);
    RawClient client(gateway_->port());
    client.send(request("GET", "/v1/x", {{"x-case", corpus_case.id}}));
    const auto answer = client.read_final_response();
    const int status = answer ? answer->status() : 0;
    switch (corpus_case.verdict) {
        case CorpusVerdict::accept:
            EXPECT_EQ(status, corpus_case.id == "RS17" ? 304 : 200);
            EXPECT_FALSE(is_cut(answer));
            EXPECT_EQ(answer->body, corpus_case.id == "RS17" ? "" : "hello");
            break;
        case CorpusVerdict::reject: EXPECT_EQ(status, 502); break;
        case CorpusVerdict::either:
            if (corpus_case.id == "RS13" || corpus_case.id == "RS31") {
                EXPECT_TRUE(status == 502 || is_cut(answer)) << "a cut answer looks complete";
            } else {
                EXPECT_TRUE(status == 502 || status == 200 || status == 999) << status;
                EXPECT_FALSE(is_cut(answer));
            }
            break;
    }

    // The next request gets a clean answer, on the same connection to the backend only if the
    // framing was beyond doubt.
    const auto next = call(gateway_->port(), request("GET", "/v1/x"));
    EXPECT_EQ(next.status(), 200);
    EXPECT_EQ(next.body, "clean");
    const auto requests = backend_->requests();
    ASSERT_GE(requests.size(), 2U);
    const bool same = requests.back().connection == requests[requests.size() - 2].connection;
    if (corpus_case.verdict == CorpusVerdict::accept && !corpus_case.close) {
        EXPECT_TRUE(same) << "a clean connection was not used again";
    } else if (corpus_case.close || status == 502) {
        EXPECT_FALSE(same) << "a connection in doubt was used again";
    }
}

INSTANTIATE_TEST_SUITE_P(Corpus, WireResponses,
                         testing::ValuesIn(load_corpus("http_responses.json")),
                         [](const auto& info) { return info.param.id; });

}  // namespace
}  // namespace millrace::test

// An endpoint that answers, but far later than its siblings.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

/// Four engines behind one model, one of which needs 0.2 s for each prompt, the others a tenth of
/// that: what a busy machine adds must not make them look slow.
struct SlowOne {
    explicit SlowOne(std::string_view outliers)
        : gateway(
              {.document = document("outliers: {ejection: 60s" + std::string(outliers) + "}")}) {}

    std::string document(std::string_view backend_extra) const {
        auto text = one_model(slow.url(), backend_extra);
        const auto at = text.find(slow.url() + '"') + slow.url().size() + 1;
        text.insert(at,
                    ", \"" + first.url() + "\", \"" + second.url() + "\", \"" + third.url() + '"');
        return text;
    }

    void ask() {
        auto body = chat("m1", true);
        // Another prompt each time, which no cache makes short.
        body["messages"][0]["content"] = std::to_string(++asked) + std::string(800, 'x');
        EXPECT_EQ(call(gateway.port(), post(kChat, body, {{"x-sim-tokens", "2"}})).status(), 200);
    }
    bool is_ready(const std::string& url) const {
        for (const auto& endpoint : gateway.admin("GET", "/status").json()["backends"]) {
            if (endpoint["endpoint"] == url) {
                return endpoint["ready"];
            }
        }
        ADD_FAILURE() << url << " is not in /status";
        return false;
    }

    int asked = 0;
    SimProcess slow{"m1", {"--prefill-tokens-per-second", "1000"}};
    SimProcess first{"m1", {"--prefill-tokens-per-second", "10000"}};
    SimProcess second{"m1", {"--prefill-tokens-per-second", "10000"}};
    SimProcess third{"m1", {"--prefill-tokens-per-second", "10000"}};
    GatewayProcess gateway;
};

TEST(Outlier, WithSlowFirstTokensGetsNothingMore) {
    SlowOne rig(", first_token_percent: 500");
    ASSERT_TRUE(eventually([&] {
        rig.ask();
        return !rig.is_ready(rig.slow.url());
    }));
    EXPECT_TRUE(eventually([&] {
        return rig.gateway.errors().find("endpoint " + rig.slow.url() +
                                         " was healthy and is ejected (slow_first_token)") !=
               std::string::npos;
    })) << rig.gateway.errors();
    EXPECT_GE(rig.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 1);
    const auto before = rig.slow.log().size();
    for (int i = 0; i < 40; ++i) {
        rig.ask();
    }
    EXPECT_EQ(rig.slow.log().size(), before);
}

TEST(Outlier, WithSlowFirstTokensStaysWhereNothingElseIsSaid) {
    SlowOne rig("");
    while (rig.slow.log().size() < 20) {  // 4 s: several reviews
        rig.ask();
    }
    EXPECT_TRUE(rig.is_ready(rig.slow.url()));
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 0);
}

}  // namespace
}  // namespace millrace::test

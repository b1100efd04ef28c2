// An endpoint that answers, but far later than its siblings.
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

/// Four engines behind one model, one of which needs 0.2 s for the prompts that it is sent.
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

    void ask() const {
        auto body = chat("m1", true);
        body["messages"][0]["content"] = std::string(800, 'x');
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

    SimProcess slow{"m1", {"--prefill-tokens-per-second", "1000"}};
    SimProcess first, second, third;
    GatewayProcess gateway;
};

TEST(Outlier, WithSlowFirstTokensGetsNothingMore) {
    const SlowOne rig(", first_token_percent: 300");
    ASSERT_TRUE(eventually([&] {
        rig.ask();
        return !rig.is_ready(rig.slow.url());
    }));
    EXPECT_TRUE(eventually([&] {
        return rig.gateway.errors().find("endpoint " + rig.slow.url() +
                                         " was healthy and is ejected (slow_first_token)") !=
               std::string::npos;
    })) << rig.gateway.errors();
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 1);
    const auto before = rig.slow.log().size();
    for (int i = 0; i < 40; ++i) {
        rig.ask();
    }
    EXPECT_EQ(rig.slow.log().size(), before);
}

TEST(Outlier, WithSlowFirstTokensStaysWhereNothingElseIsSaid) {
    const SlowOne rig("");
    while (rig.slow.log().size() < 20) {  // 4 s: several reviews
        rig.ask();
    }
    EXPECT_TRUE(rig.is_ready(rig.slow.url()));
    EXPECT_EQ(rig.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 0);
}

}  // namespace
}  // namespace millrace::test

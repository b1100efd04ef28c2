// Copies of requests to another backend: the original neither waits for them nor fails with them.
#include <algorithm>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// Model `m1` on `origin`, with copies to `shadow`.
struct MirrorRig {
    explicit MirrorRig(ScriptedBackend::Script shadow_script, std::string_view mirror_extra = {},
                       std::string_view shadow_extra = {})
        : shadow(std::move(shadow_script)),
          gateway({.document = document(mirror_extra, shadow_extra)}) {}

    std::string document(std::string_view mirror_extra, std::string_view shadow_extra) const {
        return one_model(origin.url(), {},
                         "mirror: {backend: shadow" + std::string(mirror_extra) + '}') +
               "  shadow: {endpoints: {static: [\"" + shadow.url() + "\"]}" +
               std::string(shadow_extra) + "}\n";
    }
    Message ask(bool stream = false) const {
        return call(gateway.port(), post(kChat, chat("m1", stream)));
    }
    double mirrored(std::string_view outcome) const {
        return gateway.metrics().sum(
            "millrace_mirrored_requests_total",
            {{"model", "m1"}, {"backend", "shadow"}, {"outcome", std::string(outcome)}});
    }

    ScriptedBackend origin{ScriptedBackend::answering(well_behaved)};
    ScriptedBackend shadow;
    GatewayProcess gateway;
};

ScriptedBackend::Script silent() {
    return [](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.wait_until_gone();
        }
    };
}

TEST(Mirror, GetsTheSameRequestUnderItsOwnName) {
    const MirrorRig rig(ScriptedBackend::answering(well_behaved), ", served_name: shadow-name");
    EXPECT_EQ(rig.ask().status(), 200);
    EXPECT_EQ(judge_stream(rig.ask(true).body).content, "t0 t1 t2 ");
    ASSERT_TRUE(eventually([&] { return rig.mirrored("ok") == 2; }));
    const auto copies = rig.shadow.requests();
    ASSERT_EQ(copies.size(), 2U);
    for (const auto& copy : copies) {
        EXPECT_EQ(copy.target(), kChat);
        EXPECT_EQ(copy.json().value("model", ""), "shadow-name");
        EXPECT_EQ(copy.json()["messages"], chat("m1")["messages"]);
    }
}

TEST(Mirror, CountsNeitherAsRequestsNorAsTokens) {
    const MirrorRig rig(ScriptedBackend::answering(well_behaved));
    EXPECT_EQ(rig.ask().status(), 200);
    ASSERT_TRUE(eventually([&] { return rig.mirrored("ok") == 1; }));
    EXPECT_TRUE(rig.gateway.quiet());
    const auto metrics = rig.gateway.metrics();
    EXPECT_EQ(metrics.sum("millrace_requests_total"), 1);
    EXPECT_EQ(metrics.sum("millrace_tokens_total", {{"kind", "completion"}}), 3);
    EXPECT_EQ(metrics.sum("millrace_upstream_attempts_total", {{"backend", "shadow"}}), 0);
    EXPECT_EQ(rig.gateway.access_log().size(), 1U);
}

TEST(Mirror, NeitherDelaysNorFailsTheOriginal) {
    const MirrorRig rig(silent(), {}, ", slots_per_endpoint: 1");
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(rig.ask().status(), 200);
    }
    EXPECT_EQ(rig.mirrored("dropped"), 4) << "the only slot is taken, and a copy never waits";
    EXPECT_TRUE(rig.gateway.quiet()) << "a copy is no demand";
}

TEST(Mirror, SaysWhatBecameOfItsCopies) {
    const MirrorRig refusing(ScriptedBackend::always(json_response(nlohmann::json::object(), 503)));
    EXPECT_EQ(refusing.ask().status(), 200);
    EXPECT_TRUE(eventually([&] { return refusing.mirrored("error_status") == 1; }));
    MirrorRig gone(silent());
    gone.shadow.stop_accepting();
    EXPECT_EQ(gone.ask().status(), 200);
    EXPECT_TRUE(eventually([&] { return gone.mirrored("failed") == 1; }));
}

TEST(Mirror, CopiesThePartThatIsConfigured) {
    const MirrorRig rig(ScriptedBackend::answering(well_behaved), ", percent: 0");
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(rig.ask().status(), 200);
    }
    EXPECT_EQ(rig.shadow.request_count(), 0U);
}

TEST(Mirror, EndsWithADrainAtOnce) {
    MirrorRig rig(silent());
    EXPECT_EQ(rig.ask().status(), 200);
    ASSERT_TRUE(rig.shadow.wait_for_requests(1));
    EXPECT_EQ(rig.gateway.stop(), 0);
    EXPECT_TRUE(eventually([&] { return rig.shadow.gone_count() == 1; }));
}

}  // namespace
}  // namespace millrace::test

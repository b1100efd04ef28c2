#include "gateway/pipeline/scope.hpp"

#include <gtest/gtest.h>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing_support::PipelineWorld;
using testing_support::TextRequest;

/// Model `m` is a candidate of `auto`.
class ScopeTest : public testing::Test {
protected:
    ScopeTest() {
        auto& automatic = world.config.models.emplace_back();
        automatic.id = "auto";
        automatic.automatic = config::AutoModel{.candidates = {"m"}};
        world.publish();
    }

    /// One request for `auto` that ends as `end` says.
    template <class End>
    void settle(const End& end) {
        TextRequest text(world, "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n\r\n");
        auto facts = routing::testing::chat("auto");
        const auto decision =
            routing::decide(facts, *world.snapshot->catalog, world.endpoints, world.loop.random());
        ASSERT_TRUE(decision);
        text.scope->admit(*decision);
        end(*text.scope);
        requested = std::string(text.scope->record.requested_model);
        model = std::string(text.scope->record.model_name.view());
    }
    routing::ModelReading reading() {
        const auto measure = world.state.measures.acquire("m");
        measure->tick(Instant{} + 1h);
        return measure->read();
    }

    PipelineWorld world;
    std::string requested;
    std::string model;
};

TEST_F(ScopeTest, NotesTheModelThatWasAskedForAndTheOneThatServes) {
    settle([](auto&) {});
    EXPECT_EQ(requested, "auto");
    EXPECT_EQ(model, "m");
}

TEST_F(ScopeTest, MeasuresFirstTokensOfCandidates) {
    for (int i = 0; i < 98; ++i) {
        settle([](auto& scope) {
            scope.record.outcome = metrics::Outcome::completed;
            scope.record.status = 200;
            scope.record.first_token = 100ms;
        });
    }
    EXPECT_TRUE(reading().is_measured);
    EXPECT_NEAR(seconds(reading().first_token), (98 * 0.1 + 2) / 100, 1e-6);
    EXPECT_EQ(reading().error_rate, 0);
}

TEST_F(ScopeTest, CountsWhatTheBackendDidAsAFailureOfTheModel) {
    const auto ends = [&](metrics::Outcome outcome, std::uint16_t status, auto... error) {
        settle([&](auto& scope) {
            (scope.fail(Error{error, Origin::policy, ""}), ...);
            scope.record.outcome = outcome;
            scope.record.status = status;
        });
    };
    using metrics::Outcome;
    ends(Outcome::backend_error, 502);
    ends(Outcome::truncated, 200);
    ends(Outcome::timeout, 504);
    ends(Outcome::completed, 503);
    ends(Outcome::completed, 429);
    ends(Outcome::refused, 503, Errc::queue_timeout);
    EXPECT_NEAR(reading().error_rate, 6.0 / 8, 1e-9) << "two requests are assumed well";
}

TEST_F(ScopeTest, DoesNotBlameTheModelForClientsAndOperators) {
    for (const auto outcome :
         {metrics::Outcome::client_closed, metrics::Outcome::drained, metrics::Outcome::internal}) {
        settle([&](auto& scope) { scope.record.outcome = outcome; });
    }
    settle([](auto& scope) {
        scope.record.outcome = metrics::Outcome::completed;
        scope.record.status = 400;
    });
    settle([](auto& scope) { scope.fail(Error{Errc::shed, Origin::policy, ""}); });
    EXPECT_EQ(reading().error_rate, 0);
}

}  // namespace
}  // namespace millrace::gateway

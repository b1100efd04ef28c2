#include "gateway/pipeline/preference.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/gateway/pipeline/world.hpp"

namespace millrace::gateway {
namespace {

using namespace std::chrono_literals;
using testing_support::PipelineWorld;
using testing_support::TextRequest;

/// Four endpoints, of which the first is slow, and the pool's judgement of their first tokens.
class NoteFirstToken : public testing::Test {
protected:
    void publish(std::uint32_t first_token_percent) {
        world.config.backends["pool"].outliers.first_token_percent = first_token_percent;
        world.publish();
        text.emplace(world, "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
        pool = world.state.pools.find("pool");
        std::vector<routing::EndpointAddress> addresses;
        for (int i = 1; i <= 4; ++i) {
            addresses.push_back({"10.0.0." + std::to_string(i), 8000, false, ""});
        }
        pool->update(addresses);
        routing::PoolLimits limits;
        limits.health.outliers.latency_factor = 3;  // whatever the key says: it decides the feeding
        pool->set_limits(limits);
    }
    void note(std::size_t index, Duration took, std::uint32_t prompt_tokens = 100,
              bool continues = false) {
        Answer answer(world.scratch);
        answer.pool = pool.get();
        answer.backend = &world.snapshot->backends.at(pool->id());
        answer.endpoint = routing::EndpointLease(pool->snapshot()->endpoints[index]);
        answer.prompt_tokens = prompt_tokens;
        answer.begun_at = world.loop.recent() - took;
        metrics::AttemptRecord record;
        record.continues = continues;
        answer.record = &record;
        note_first_token(*text->scope, answer);
    }
    void note_all(int times, Duration slow, std::uint32_t prompt_tokens = 100,
                  bool continues = false) {
        for (int i = 0; i < times; ++i) {
            note(0, slow, prompt_tokens, continues);
            for (std::size_t other = 1; other < 4; ++other) {
                note(other, 100ms);
            }
        }
    }
    std::vector<routing::HealthChange> review() { return pool->review(world.loop.recent()); }

    PipelineWorld world;
    std::optional<TextRequest> text;
    std::shared_ptr<routing::Pool> pool;
};

TEST_F(NoteFirstToken, IsEvidenceAgainstASlowEndpointWhereThatIsAsked) {
    publish(300);
    note_all(9, 500ms);
    EXPECT_TRUE(review().empty()) << "too few";
    note_all(1, 500ms);
    const auto changes = review();
    ASSERT_EQ(changes.size(), 1U);
    EXPECT_EQ(changes[0].endpoint, "http://10.0.0.1:8000");
    EXPECT_EQ(changes[0].cause, routing::HealthCause::slow_first_token);
}

TEST_F(NoteFirstToken, IsNoneWhereItIsNotAsked) {
    publish(0);
    note_all(20, 500ms);
    EXPECT_TRUE(review().empty());
}

TEST_F(NoteFirstToken, AllowsALongPromptItsTime) {
    publish(300);
    note_all(20, 500ms, 4000);
    EXPECT_TRUE(review().empty());
}

TEST_F(NoteFirstToken, LeavesOutWhatContinuesAStream) {
    publish(300);
    note_all(20, 500ms, 100, true);
    EXPECT_TRUE(review().empty());
}

}  // namespace
}  // namespace millrace::gateway

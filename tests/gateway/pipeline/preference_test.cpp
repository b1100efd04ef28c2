// What a request wants of an endpoint by its model's picker, and what its first token teaches.
#include "gateway/pipeline/preference.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "routing/canary.hpp"
#include "tests/gateway/pipeline/live_world.hpp"

namespace millrace::gateway {
namespace {

using namespace testing_support;
using config::Affinity;
using routing::stable_hash;

class PreferenceTest : public LiveTest {
protected:
    config::Picker& picker() { return model().picker; }
    /// What a chat request prefers.
    routing::Selection select(std::string_view more_fields = {}) {
        ask(false, more_fields);
        return selection_for(preferring(), world.prompt_blocks);
    }
    Preferring preferring() {
        return {resolved.decision, &*request.fields, request.body, headers, key_id, 0.25};
    }
    std::optional<std::uint64_t> session(std::string_view more_fields = {}) {
        return select(more_fields).request.session_key;
    }
    static std::string long_system(char filling) {
        return R"(,"system":")" + std::string(2000, filling) + '"';
    }

    std::vector<HeaderField> headers;
    std::string_view key_id;
};

TEST_F(PreferenceTest, IsNoneWithoutAPicker) {
    const auto selection = select(long_system('a'));
    EXPECT_EQ(selection.policy, nullptr);
    EXPECT_TRUE(selection.blocks.empty());
    EXPECT_EQ(selection.prefixes, nullptr);
    EXPECT_EQ(selection.adapter, 0U);
    EXPECT_FALSE(selection.request.session_key);
    EXPECT_EQ(selection_for(scope(), request, resolved).policy, nullptr);
}

TEST_F(PreferenceTest, FollowsThePolicyOfTheModel) {
    picker().by = {Affinity::load};
    const auto selection = select();
    ASSERT_NE(selection.policy, nullptr);
    EXPECT_EQ(selection.policy, &*resolved.decision.rule->policy);
    EXPECT_EQ(selection.request.prompt_tokens, request.fields->prompt_bytes / 4);
    EXPECT_FALSE(selection.request.wants_adapter);
    EXPECT_FALSE(selection.request.session_key);
    EXPECT_TRUE(selection.blocks.empty());
}

TEST_F(PreferenceTest, EstimatesTokensWithinBounds) {
    picker().by = {Affinity::load};
    ask(false);
    auto asked = preferring();
    asked.tokens_per_byte = 0;
    EXPECT_EQ(selection_for(asked, world.prompt_blocks).request.prompt_tokens, 1U) << "never none";
    asked.tokens_per_byte = 1e12;
    EXPECT_EQ(selection_for(asked, world.prompt_blocks).request.prompt_tokens,
              std::numeric_limits<std::uint32_t>::max() / 4);
    asked.tokens_per_byte = 2;
    asked.fields = nullptr;
    asked.body = "12345";
    EXPECT_EQ(selection_for(asked, world.prompt_blocks).request.prompt_tokens, 10U)
        << "the body, where the prompt is not known";
}

TEST_F(PreferenceTest, WantsTheAdapterThatIsServed) {
    picker().by = {Affinity::adapter};
    const auto selection = select();
    EXPECT_TRUE(selection.request.wants_adapter);
    EXPECT_EQ(selection.adapter, stable_hash("served"));
}

TEST_F(PreferenceTest, TakesTheFirstSessionKeyThatTheRequestHas) {
    picker().by = {Affinity::session};
    picker().session = {.header = "x-session", .field = "user", .api_key = true};
    key_id = "key-1";
    headers = {{"other", "x", 0}, {"X-Session", "abc", 0}};
    EXPECT_EQ(session(R"(,"user":"bob")"), stable_hash("abc"));
    headers = {{"X-Session", "", 0}};
    EXPECT_EQ(session(R"(,"user":"bob")"), stable_hash(R"("bob")")) << "an empty one is none";
    headers = {};
    EXPECT_EQ(session(R"(,"user":"bob")"), stable_hash(R"("bob")"));
    EXPECT_EQ(session(R"(,"user":7)"), stable_hash("key-1")) << "only text is a name";
    EXPECT_EQ(session(R"(,"metadata":{"user":"bob"})"), stable_hash("key-1")) << "top level only";
    EXPECT_EQ(session(), stable_hash("key-1"));
    key_id = {};
    EXPECT_EQ(session(), std::nullopt) << "anonymous";
}

TEST_F(PreferenceTest, UsesOnlyTheSessionKeysThatAreConfigured) {
    picker().by = {Affinity::session};
    picker().session.field = "user";
    key_id = "key-1";
    headers = {{"x-session", "abc", 0}};
    EXPECT_EQ(session(), std::nullopt);
    EXPECT_NE(session(R"(,"user":"bob")"), std::nullopt);
    auto asked = preferring();
    asked.fields = nullptr;
    EXPECT_FALSE(selection_for(asked, world.prompt_blocks).request.session_key)
        << "no JSON body, no member";
}

TEST_F(PreferenceTest, PrefersWhereThePromptIsCached) {
    picker().by = {Affinity::prefix};
    const auto selection = select(long_system('a'));
    EXPECT_EQ(selection.prefixes, &pool().prefixes());
    EXPECT_EQ(selection.tokens_per_block, world.prompt_blocks.block_bytes() / 4);
    ASSERT_GE(selection.blocks.size(), 4U);
    EXPECT_EQ(select(long_system('a')).blocks, selection.blocks);
    EXPECT_NE(select(long_system('b')).blocks, selection.blocks);
}

TEST_F(PreferenceTest, CachesAreOfTheNameThatIsServed) {
    picker().by = {Affinity::prefix};
    const auto blocks = select(long_system('a')).blocks;
    auto decision = resolved.decision;
    decision.served_name = "other";
    const Preferring other{decision, &*request.fields, request.body, headers, key_id, 0.25};
    EXPECT_NE(selection_for(other, world.prompt_blocks).blocks, blocks);
}

TEST_F(PreferenceTest, PutsThePromptTogetherAsTheEngineDoes) {
    picker().by = {Affinity::prefix};
    // `system` counts before `messages`, wherever they stand; what is no prompt does not count.
    const auto blocks = select(long_system('a')).blocks;
    EXPECT_EQ(select(R"(,"temperature":0.5,"max_tokens":7)" + long_system('a')).blocks, blocks);
    EXPECT_NE(select(R"(,"tools":[{"x":1}])" + long_system('a')).blocks, blocks);
}

TEST_F(PreferenceTest, WithoutAJsonBodyThereIsNoPrefix) {
    picker().by = {Affinity::prefix, Affinity::load};
    ask(false);
    auto asked = preferring();
    asked.fields = nullptr;
    const auto selection = selection_for(asked, world.prompt_blocks);
    EXPECT_TRUE(selection.blocks.empty());
    EXPECT_EQ(selection.prefixes, nullptr);
    EXPECT_NE(selection.policy, nullptr);
}

TEST_F(PreferenceTest, TakesItAllFromTheRequest) {
    picker().by = {Affinity::session, Affinity::load};
    picker().session = {"x-session", {}, true};
    make("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Session: abc\r\n\r\n");
    request.surface = &openai::surface_of(openai::Api::chat_completions);
    request.fields.emplace();
    request.fields->model = "m";
    request.fields->prompt_bytes = 1000;
    find();
    world.snapshot->backends.front().learned->tokens_per_byte = 0.5F;
    auto selection = selection_for(scope(), request, resolved);
    EXPECT_EQ(selection.request.prompt_tokens, 500U) << "as learned of the backend";
    EXPECT_EQ(selection.request.session_key, stable_hash("abc"));
    scope().principal.key_id = "key-1";
    EXPECT_EQ(selection_for(scope(), request, resolved).request.session_key, stable_hash("abc"));
}

TEST_F(PreferenceTest, EstimatesThePromptByWhatTheBackendTaught) {
    ask(false);
    const auto& backend = world.snapshot->backend_of(*resolved.decision.target);
    backend.learned->tokens_per_byte = 0.5F;
    request.fields->prompt_bytes = 3000;
    EXPECT_EQ(estimated_prompt_tokens(request, backend), 1500U);
    request.fields.reset();
    EXPECT_EQ(estimated_prompt_tokens(request, backend), body.size() / 2);
}

// note_first_token(): what is learned of the endpoint.

class FirstTokenTest : public PreferenceTest {
protected:
    routing::EndpointLoad& dispatch(bool by_load) {
        ask(true);
        answer.backend = &world.snapshot->backend_of(*resolved.decision.target);
        answer.record = &scope().record.attempts.add();
        answer.endpoint = routing::EndpointLease(endpoint(0));
        answer.endpoint.expect(4000);
        answer.picked_by_load = by_load;
        answer.prompt_tokens = routing::kReferenceTokens;
        answer.work = 8000;
        answer.begun_at = world.loop.recent();
        world.clock.advance(2s);
        world.loop.now();
        return answer.endpoint.shared()->load;
    }

    Answer answer{world.scratch};
};

TEST_F(FirstTokenTest, TheEndpointHasItsPromptBehindIt) {
    backend(silent());
    auto& load = dispatch(true);
    EXPECT_EQ(load.queued_prompt_tokens, 4000U);
    note_first_token(scope(), answer);
    EXPECT_EQ(load.queued_prompt_tokens, 0U);
    EXPECT_TRUE(answer.endpoint) << "the lease stays";
}

TEST_F(FirstTokenTest, TeachesTheSpeedOfAnEndpointThatWasPickedByIt) {
    backend(silent());
    const auto& load = dispatch(true);
    note_first_token(scope(), answer);
    EXPECT_DOUBLE_EQ(load.speed().prefill_rate(),
                     routing::after_first_token({}, 8000, 2s).prefill_rate());
}

TEST_F(FirstTokenTest, TeachesNoSpeedOtherwise) {
    backend(silent());
    const auto& load = dispatch(false);
    note_first_token(scope(), answer);
    EXPECT_EQ(load.speed().prefill_rate(), 0);
}

TEST_F(FirstTokenTest, IsASampleForTheNumberOfSlotsInAnyCase) {
    backend(silent());
    auto& load = dispatch(false);
    answer.prompt_tokens = 2560;  // which makes half of a time that of a prompt of usual size
    for (std::uint32_t i = 0; i < routing::TtftSketch::kMinSamples; ++i) {
        note_first_token(scope(), answer);
    }
    const auto seen = load.first_tokens.take(world.loop.recent());
    ASSERT_TRUE(seen);
    EXPECT_NEAR(seconds(*seen), 1, 0.07);
}

}  // namespace
}  // namespace millrace::gateway

#include "gateway/openai/surface.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::openai {
namespace {

TEST(Surface, KnowsEveryPath) {
    struct Case {
        const char* method;
        const char* path;
        Api api;
        const char* id;
    };
    for (const Case& c : std::vector<Case>{
             {"POST", "/v1/chat/completions", Api::chat_completions, ""},
             {"POST", "/v1/completions", Api::completions, ""},
             {"POST", "/v1/embeddings", Api::embeddings, ""},
             {"POST", "/v1/responses", Api::responses, ""},
             {"GET", "/v1/responses/resp_1", Api::response_get, "resp_1"},
             {"DELETE", "/v1/responses/resp_1", Api::response_delete, "resp_1"},
             {"POST", "/v1/responses/resp_1/cancel", Api::response_cancel, "resp_1"},
             {"GET", "/v1/responses/resp_1/input_items", Api::response_input_items, "resp_1"},
             {"GET", "/v1/responses/a%2Fb", Api::response_get, "a/b"},
             {"POST", "/v1/messages", Api::messages, ""},
             {"POST", "/v1/messages/count_tokens", Api::messages_count_tokens, ""},
             {"POST", "/v1/rerank", Api::rerank, ""},
             {"POST", "/v2/rerank", Api::rerank, ""},
             {"POST", "/rerank", Api::rerank, ""},
             {"POST", "/v1/score", Api::score, ""},
             {"POST", "/score", Api::score, ""},
             {"POST", "/v1/classify", Api::classify, ""},
             {"POST", "/classify", Api::classify, ""},
             {"POST", "/v1/pooling", Api::pooling, ""},
             {"POST", "/pooling", Api::pooling, ""},
             {"POST", "/tokenize", Api::tokenize, ""},
             {"POST", "/detokenize", Api::detokenize, ""},
             {"POST", "/v1/audio/transcriptions", Api::audio_transcriptions, ""},
             {"POST", "/v1/audio/translations", Api::audio_translations, ""},
             {"POST", "/v1/audio/speech", Api::audio_speech, ""},
             {"POST", "/v1/images/generations", Api::images_generations, ""},
             {"POST", "/v1/images/edits", Api::images_edits, ""},
             {"POST", "/v1/images/variations", Api::images_variations, ""},
             {"GET", "/v1/models", Api::models_list, ""},
             {"HEAD", "/v1/models", Api::models_list, ""},
             {"GET", "/v1/models/meta-llama/Llama-3-8B", Api::model_get, "meta-llama/Llama-3-8B"},
             {"HEAD", "/v1/models", Api::models_list, ""},
             {"GET", "/v1/models/meta-llama%2FLlama%2d3%252F", Api::model_get,
              "meta-llama/Llama-3%2F"},
         }) {
        const auto match = find_surface(c.method, c.path);
        ASSERT_TRUE(match) << c.path;
        EXPECT_EQ(match->surface->api, c.api) << c.path;
        EXPECT_EQ(match->id, c.id) << c.path;
    }
}

TEST(Surface, TellsWrongMethodsFromUnknownPaths) {
    const auto code = [](const char* method, const char* path) {
        const auto match = find_surface(method, path);
        return match ? Errc::kErrcCount : match.error().code;
    };
    EXPECT_EQ(code("GET", "/v1/chat/completions"), Errc::method_not_allowed);
    EXPECT_EQ(code("PUT", "/v1/responses/x"), Errc::method_not_allowed);
    EXPECT_EQ(allowed_methods("/v1/responses/x"), "GET, HEAD, DELETE");
    EXPECT_EQ(allowed_methods("/v1/models"), "GET, HEAD");
    EXPECT_EQ(allowed_methods("/v1/responses/x/cancel"), "POST");
    EXPECT_EQ(allowed_methods("/v1/chat/completions"), "POST");
    EXPECT_EQ(allowed_methods("/nope"), "");
    for (const char* path : {"/", "/v1", "/v1/chat/completions/", "/v1/chat", "/V1/models",
                             "/v1/models/", "/v1/responses/", "/v1/responses//cancel",
                             "/v1/responses/a/b", "/v1/chat/completions/batch"}) {
        EXPECT_EQ(code("POST", path), Errc::path_not_found) << path;
        EXPECT_EQ(code("GET", path), Errc::path_not_found) << path;
    }
    EXPECT_EQ(code("GET", "/v1/models/a%zz"), Errc::bad_target);
    EXPECT_EQ(code("GET", "/v1/models/a%2"), Errc::bad_target);
    EXPECT_EQ(code("GET", "/v1/models/a%00"), Errc::bad_target);
}

TEST(Surface, KnowsWhatEachApiDoes) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(Api::kApiCount); ++i) {
        const Surface& surface = surface_of(static_cast<Api>(i));
        EXPECT_EQ(surface.api, static_cast<Api>(i));
        EXPECT_FALSE(surface.name.empty());
        const bool chatty = surface.api == Api::chat_completions || surface.api == Api::completions;
        EXPECT_EQ(surface.injects_usage, chatty) << surface.name;
        EXPECT_EQ(surface.is_generation,
                  chatty || surface.api == Api::responses || surface.api == Api::messages)
            << surface.name;
    }
    EXPECT_EQ(surface_of(Api::messages).dialect, metrics::Dialect::messages);
    EXPECT_EQ(surface_of(Api::audio_transcriptions).body, BodyKind::multipart);
    EXPECT_TRUE(surface_of(Api::response_cancel).by_response_id);
    EXPECT_TRUE(surface_of(Api::models_list).is_local);
    EXPECT_FALSE(surface_of(Api::embeddings).can_stream);
}

TEST(Surface, ChoosesTheErrorDialectByPath) {
    EXPECT_EQ(error_dialect("/v1/messages"), metrics::Dialect::messages);
    EXPECT_EQ(error_dialect("/v1/messages/unknown"), metrics::Dialect::messages);
    EXPECT_EQ(error_dialect("/v1/messagesx"), metrics::Dialect::chat);
    EXPECT_EQ(error_dialect("/v1/responses/x"), metrics::Dialect::responses);
    EXPECT_EQ(error_dialect("/nope"), metrics::Dialect::chat);
}

TEST(Surface, RecognisesControlPathsInEverySpelling) {
    for (const char* path : {"/sleep",
                             "/wake_up",
                             "/is_sleeping",
                             "/pause",
                             "/resume",
                             "/is_paused",
                             "/scale_elastic_ep",
                             "/reset_prefix_cache",
                             "/collective_rpc",
                             "/server_info",
                             "/v1/load_lora_adapter",
                             "/v1/unload_lora_adapter",
                             "/metrics",
                             "/load",
                             "/ping",
                             "/version",
                             "/health",
                             "/invocations",
                             "/start_profile",
                             "/stop_profile",
                             "/sleep/",
                             "//sleep",
                             "/%73leep",
                             "/./sleep",
                             "/v1/../sleep",
                             "/metrics/x",
                             "/v1//load_lora_adapter",
                             "/v1%2Fload_lora_adapter"}) {
        EXPECT_TRUE(is_control_path(path)) << path;
    }
    for (const char* path :
         {"/", "/v1/models", "/sleepy", "/v1/sleep", "/healthz", "/metricsx", "/%zz"}) {
        EXPECT_FALSE(is_control_path(path)) << path;
    }
}

}  // namespace
}  // namespace millrace::openai

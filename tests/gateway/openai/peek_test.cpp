#include "gateway/openai/peek.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace millrace::openai {
namespace {

Result<RequestFields> peek(std::string_view body, std::size_t step = 1 << 20, unsigned depth = 64) {
    Peek peek(depth);
    std::string copy;  // a new buffer each time: the body may move while it grows
    for (std::size_t size = step; size < body.size(); size += step) {
        copy = std::string(body.substr(0, size));
        if (const auto fed = peek.feed(copy); !fed) {
            return std::unexpected(fed.error());
        }
    }
    return peek.finish(body);
}

Errc code(std::string_view body) {
    const auto fields = peek(body);
    const auto bytewise = peek(body, 1);
    EXPECT_EQ(fields.has_value(), bytewise.has_value()) << body;
    if (!fields && !bytewise) {
        EXPECT_EQ(fields.error().code, bytewise.error().code) << body;
    }
    return fields ? Errc::kErrcCount : fields.error().code;
}
constexpr Errc kFine = Errc::kErrcCount;

TEST(Peek, FindsEveryFieldHoweverTheBodyArrives) {
    const std::string body =
        R"( {"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}},"model"]}],)"
        R"("model":"llama-3-8b", "stream" :true,"stream_options": {"include_usage":false,"x":1,"continuous_usage_stats":true},)"
        R"("max_tokens":256,"max_completion_tokens":null,"n":2,"store":false,"background":true,)"
        R"("previous_response_id":"resp_1","tools":[{"type":"function"}],"temperature":NaN})";
    for (std::size_t step = 1; step < body.size(); ++step) {
        const auto fields = peek(body, step);
        ASSERT_TRUE(fields) << step << fields.error().detail;
        EXPECT_EQ(fields->model, "llama-3-8b");
        EXPECT_EQ(body.substr(fields->model_value->offset, fields->model_value->length),
                  "\"llama-3-8b\"");
        EXPECT_TRUE(fields->stream);
        ASSERT_TRUE(fields->stream_options);
        EXPECT_TRUE(fields->stream_options->is_object);
        EXPECT_FALSE(fields->stream_options->include_usage);
        EXPECT_TRUE(fields->stream_options->continuous_usage);
        const Span flag = fields->stream_options->include_usage_value.value();
        EXPECT_EQ(body.substr(flag.offset, flag.length), "false");
        EXPECT_EQ(fields->max_tokens, 256U);
        EXPECT_EQ(fields->max_completion_tokens, std::nullopt);
        EXPECT_EQ(fields->n, 2U);
        EXPECT_EQ(fields->store, false);
        EXPECT_TRUE(fields->background);
        EXPECT_EQ(fields->previous_response_id, "resp_1");
        EXPECT_TRUE(fields->has_tools);
        EXPECT_TRUE(fields->has_images) << step;
        EXPECT_EQ(fields->prompt_bytes, body.find("],\"model\"") + 1 - body.find('[') + 21);
        EXPECT_EQ(fields->object_start, 2U);
        EXPECT_FALSE(fields->empty_object);
    }
}

TEST(Peek, AcceptsBodiesWithoutAnythingOfInterest) {
    for (const char* body : {"{}", " { } ", R"({"x":{"model":"no"}})"}) {
        const auto fields = peek(body);
        ASSERT_TRUE(fields) << body;
        EXPECT_FALSE(fields->model);
        EXPECT_FALSE(fields->stream);
        EXPECT_FALSE(fields->has_images);
        EXPECT_EQ(fields->empty_object, std::string_view(body).find('x') == std::string_view::npos);
    }
}

TEST(Peek, UnderstandsEscapedKeysAndNames) {
    EXPECT_EQ(peek(R"({"mod\u0065l":"a\u0062c"})")->model, "abc");
    EXPECT_EQ(code(R"({"mod\u0065l":"a","model":"b"})"), Errc::duplicate_key);
    EXPECT_TRUE(peek(R"({"stream":true,"stream_options":{"include\u005fusage":true}})")
                    ->stream_options->include_usage);
    EXPECT_EQ(code(R"({"mod\u0065":1,"mod\ud800l":2})"), kFine)
        << "other keys are not ours to judge";
}

TEST(Peek, RefusesDuplicatesOfTheKeysItReads) {
    for (const char* key :
         {"model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "store",
          "background", "previous_response_id", "tools", "messages", "prompt", "input"}) {
        const std::string once = std::string("\"") + key + "\":null";
        EXPECT_EQ(code("{" + once + "," + once + "}"), Errc::duplicate_key) << key;
        EXPECT_EQ(code("{" + once + "}"), kFine) << key;
    }
    EXPECT_EQ(code(R"({"x":1,"x":2,"a":{"model":1,"model":2}})"), kFine);
    EXPECT_EQ(code(R"({"stream_options":{"include_usage":true,"include_usage":false}})"),
              Errc::duplicate_key);
}

TEST(Peek, ChecksTheValuesItReads) {
    struct Case {
        const char* body;
        Errc expected;
    };
    for (const Case& c : std::vector<Case>{
             {R"({"model":7})", Errc::bad_field},
             {R"({"model":["a"]})", Errc::bad_field},
             {R"({"model":nul})", Errc::bad_json},
             {R"({"model":NaN})", Errc::bad_json},
             {R"({"model":"a\x"})", Errc::bad_json},
             {R"({"model":"\ud800"})", Errc::bad_json},
             {"{\"model\":\"a\nb\"}", Errc::bad_json},
             {"{\"model\":\"\xFF\"}", Errc::bad_json},
             {R"({"model":""})", kFine},
             {R"({"model":null})", kFine},
             {R"({"stream":"true"})", Errc::bad_field},
             {R"({"stream":1})", Errc::bad_field},
             {R"({"stream":null})", kFine},
             {R"({"stream":truE})", Errc::bad_json},
             {R"({"stream_options":true})", Errc::bad_field},
             {R"({"stream_options":{"include_usage":1}})", Errc::bad_field},
             {R"({"stream_options":{"include_usage" true}})", Errc::bad_json},
             {R"({"stream_options":null})", kFine},
             {R"({"max_tokens":"5"})", Errc::bad_field},
             {R"({"max_tokens":[]})", Errc::bad_field},
             {R"({"max_tokens":true})", Errc::bad_field},
             {R"({"max_tokens":NaN})", Errc::bad_json},
             {R"({"max_tokens":05})", Errc::bad_json},
             {R"({"max_tokens":1e400})", Errc::bad_field},
             {R"({"max_tokens":99999999999999999999999})", Errc::bad_field},
             {R"({"max_tokens":-1})", kFine},
             {R"({"max_tokens":1.5})", kFine},
             {R"({"previous_response_id":5})", Errc::bad_field},
             {R"({"store":0})", Errc::bad_field},
             {R"({"messages":nul})", Errc::bad_json},
         }) {
        EXPECT_EQ(code(c.body), c.expected) << c.body;
    }
    EXPECT_EQ(peek(R"({"max_tokens":100.0})")->max_tokens, 100U);
    EXPECT_EQ(peek(R"({"max_tokens":1e2})")->max_tokens, 100U);
    EXPECT_EQ(peek(R"({"max_tokens":0})")->max_tokens, 0U);
    EXPECT_EQ(peek(R"({"max_tokens":-1})")->max_tokens, std::nullopt);
    EXPECT_TRUE(peek(R"({"model":null})")->model_value);
}

TEST(Peek, LimitsNamesDepthAndSize) {
    EXPECT_EQ(code("{\"model\":\"" + std::string(128, 'm') + "\"}"), kFine);
    EXPECT_EQ(code("{\"model\":\"" + std::string(129, 'm') + "\"}"), Errc::bad_field);
    EXPECT_EQ(peek("{\"model\":\"" + std::string(5'000'000, 'm') + "\"}").error().code,
              Errc::bad_field);
    EXPECT_EQ(code("{\"x\":" + std::string(64, '[') + std::string(64, ']') + "}"),
              Errc::json_too_deep);
    EXPECT_FALSE(peek("{\"x\":[[]]}", 1 << 20, 2));
}

TEST(Peek, RefusesBrokenBalance) {
    for (const char* body :
         {"", "[]", "{", "{\"a\":[}]}", "{\"model\":\"x\"}}", "{\"model\":\"x\"", "\xEF\xBB\xBF{}",
          "{\"model\":\"x\"}{\"model\":\"y\"}", "{\"model\":\"x\",}", "{'model':'x'}"}) {
        EXPECT_EQ(code(body), Errc::bad_json) << body;
    }
}

TEST(Peek, SpotsImagesAndTools) {
    const auto images = [](std::string_view body) {
        const auto whole = peek(body);
        EXPECT_EQ(peek(body, 1)->has_images, whole->has_images) << body;
        return whole->has_images;
    };
    EXPECT_TRUE(
        images(R"({"messages":[{"content":[{"image_url":{"url":"u"},"type":"image_url"}]}]})"));
    EXPECT_TRUE(images(R"({"input":[{"content":[{"type":"input_image","image_url":"u"}]}]})"));
    EXPECT_FALSE(images(R"({"messages":[{"content":"image_url input_image"}]})"));
    EXPECT_FALSE(images(
        R"({"messages":[{"content":"image_urls"},{"content":"say \"image_url\""},"i","im"]})"));
    for (std::size_t pad = 0; pad < 130; ++pad) {
        const std::string body = "{\"p\":\"" + std::string(pad, 'q') + "\",\"a\":[\"image_url\"]}";
        EXPECT_TRUE(images(body)) << pad;
    }
    EXPECT_FALSE(peek(R"({"tools":[ ]})")->has_tools);
    EXPECT_FALSE(peek(R"({"tools":null})")->has_tools);
}

TEST(Peek, TellsWhatTheClientAskedToSee) {
    EXPECT_EQ(client_usage(*peek("{}")), ShowUsage::nothing);
    EXPECT_EQ(client_usage(*peek(R"({"stream_options":{"continuous_usage_stats":true}})")),
              ShowUsage::nothing);
    EXPECT_EQ(client_usage(*peek(R"({"stream_options":{"include_usage":true}})")),
              ShowUsage::final_only);
    EXPECT_EQ(client_usage(*peek(
                  R"({"stream_options":{"include_usage":true,"continuous_usage_stats":true}})")),
              ShowUsage::everything);
}

TEST(Peek, NamesTheKeyInItsRefusals) {
    EXPECT_EQ(peek(R"({"model":7})").error().detail, "The value of \"model\" must be a string.");
    EXPECT_EQ(peek(R"({"n":1,"n":1})").error().detail,
              "The key \"n\" appears twice at the top level of the body; send it once.");
}

}  // namespace
}  // namespace millrace::openai

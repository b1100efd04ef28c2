#include "gateway/commands/explain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "gateway/commands/exit_code.hpp"
#include "tests/support/temp_dir.hpp"

namespace millrace::gateway {
namespace {

using testing::HasSubstr;

constexpr std::string_view kDocument =
    "models:\n"
    "  - id: org/llama\n"
    "    aliases: [llama]\n"
    "    variants:\n"
    "      - {name: stable, weight: 100, backend: b1}\n"
    "      - {name: canary, weight: 0, backend: b2, served_name: ft}\n"
    "  - {id: named, variants: [{name: only, backend: dns}]}\n"
    "backends:\n"
    "  b1: {endpoints: {static: [http://127.0.0.1:8001]}}\n"
    "  b2: {endpoints: {static: [http://127.0.0.1:8002]}}\n"
    "  dns: {endpoints: {dns: {name: vllm.svc.test, port: 8000}}}\n";

ExplainOptions with_config(std::string file) {
    ExplainOptions options;
    options.config_file = std::move(file);
    return options;
}

class Explain : public testing::Test {
protected:
    int run() { return run_explain(options, out, err); }
    void set_body(const std::string& body) { options.body_file = directory.write("body", body); }

    test::TempDir directory;
    ExplainOptions options = with_config(directory.write("millrace.yaml", kDocument));
    std::ostringstream out;
    std::ostringstream err;
};

TEST_F(Explain, SaysWhereARequestGoesAndWhy) {
    set_body(R"({"model": "llama", "messages": []})");
    EXPECT_EQ(run(), kExitClean) << err.str();
    EXPECT_TRUE(out.str().starts_with("POST /v1/chat/completions\n  1. ")) << out.str();
    EXPECT_THAT(out.str(), HasSubstr("Variant stable"));
    EXPECT_THAT(out.str(), HasSubstr("Goes to http://127.0.0.1:8001 of backend b1, variant stable, "
                                     "as model org/llama.\n"));
}

TEST_F(Explain, IsTheSameEveryTime) {
    set_body(R"({"model": "llama"})");
    run();
    const auto first = out.str();
    out.str("");
    run();
    EXPECT_EQ(out.str(), first);
}

TEST_F(Explain, TakesHeadersAndDnsBackends) {
    set_body("{}");
    options.headers = {"X-Model-Id:   named  ", "x-empty:"};
    EXPECT_EQ(run(), kExitClean) << err.str();
    EXPECT_THAT(out.str(), HasSubstr("of backend dns"));
    EXPECT_THAT(out.str(), HasSubstr("vllm.svc.test:8000"));
}

TEST_F(Explain, ShowsARefusalAsTheClientWouldSeeIt) {
    set_body(R"({"model": "unheard-of"})");
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("Refused with 404 model_not_found: "));
    out.str("");
    set_body("{");
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("Refused with 400 bad_json: "));
    out.str("");
    options.method = "PUT";
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("Refused with 405 "));
    out.str("");
    options.method = "";
    options.path = "/wp-login.php";
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("Refused with 404 path_not_found: "));
}

TEST_F(Explain, NeedsNoBodyWhenAHeaderNamesTheModel) {
    options.headers = {"x-model-id: llama"};
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("POST /v1/chat/completions\n"));
    EXPECT_THAT(out.str(), HasSubstr("Goes to "));
}

TEST_F(Explain, KnowsWhatRoutingDoesNotDecide) {
    options.path = "/v1/models";
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("GET /v1/models\n"));
    EXPECT_THAT(out.str(), HasSubstr("The gateway answers it itself."));
    out.str("");
    options.path = "/v1/responses/resp_1";
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("stored the response `resp_1`"));
}

TEST_F(Explain, ReadsTheModelOfAMultipartBody) {
    options.path = "/v1/audio/transcriptions";
    options.headers = {"content-type: multipart/form-data; boundary=x"};
    set_body("--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nllama\r\n--x--\r\n");
    EXPECT_EQ(run(), kExitClean);
    EXPECT_THAT(out.str(), HasSubstr("of backend b1"));
}

constexpr std::string_view kChoosing =
    "tenants: {acme: {tier: gold}}\n"
    "models:\n"
    "  - id: smart\n"
    "    rules:\n"
    "      - {name: seeded, when: {fields: [{name: seed, over: 9}]}, targets: [{model: big}]}\n"
    "      - {name: paid, when: {tiers: [gold], tools: true}, targets: [{model: big}]}\n"
    "      - {name: long, when: {prompt_tokens: {over: 4}}, targets: [{model: big}]}\n"
    "      - {name: rest, targets: [{model: small}]}\n"
    "  - {id: auto, auto: {candidates: [big, small]}}\n"
    "  - {id: big, price: {prompt: 2.5}, variants: [{name: only, backend: b1}]}\n"
    "  - {id: small, variants: [{name: only, backend: b1}]}\n"
    "backends: {b1: {endpoints: {static: [http://127.0.0.1:8001]}}}\n";

TEST_F(Explain, SaysWhichRuleChoseTheModel) {
    options.config_file = directory.write("choosing.yaml", kChoosing);
    const auto explained = [&](const std::string& body) {
        set_body(body);
        out.str("");
        EXPECT_EQ(run(), kExitClean) << err.str();
        return out.str();
    };
    EXPECT_THAT(explained(R"({"model": "smart", "seed": 12})"),
                HasSubstr("Rule `seeded`: field seed 12 > 9 -> model big."));
    EXPECT_THAT(out.str(), HasSubstr("as model big.\n"));
    EXPECT_THAT(explained(R"({"model": "smart", "tools": [{}]})"),
                HasSubstr("Rule `paid` does not apply: no tier."));
    EXPECT_THAT(out.str(), HasSubstr("Rule `rest`: no conditions -> model small."));
    options.tenant = "acme";
    EXPECT_THAT(explained(R"({"model": "smart", "tools": [{}]})"),
                HasSubstr("Rule `paid`: tools present, tier \"gold\" -> model big."));
    EXPECT_THAT(explained(R"({"model": "smart", "messages": ["0123456789abcdef"]})"),
                HasSubstr("Rule `long`: prompt tokens 5 > 4 -> model big."));
}

TEST_F(Explain, SaysWhatAnAutoModelWeighed) {
    options.config_file = directory.write("choosing.yaml", kChoosing);
    set_body(R"({"model": "auto", "messages": ["0123456789abcdef"]})");
    EXPECT_EQ(run(), kExitClean) << err.str();
    EXPECT_THAT(out.str(), HasSubstr("Candidate big: first token 1000 ms (assumed) x 1.0, price "
                                     "12.50 micro-USD"));
    EXPECT_THAT(out.str(), HasSubstr("Candidate small: "));
    EXPECT_THAT(out.str(), HasSubstr("is taken: "));
}

TEST_F(Explain, PrintsJson) {
    set_body(R"({"model": "llama"})");
    options.json = true;
    EXPECT_EQ(run(), kExitClean);
    const auto json = nlohmann::json::parse(out.str());
    EXPECT_EQ(json["endpoint"], "http://127.0.0.1:8001");
    EXPECT_EQ(json["backend"], "b1");
    EXPECT_EQ(json["variant"], "stable");
    EXPECT_EQ(json["served_name"], "org/llama");
    EXPECT_FALSE(json.contains("refusal"));
    out.str("");
    set_body(R"({"model": "unheard-of"})");
    run();
    const auto refused = nlohmann::json::parse(out.str());
    EXPECT_EQ(refused["refusal"]["status"], 404);
    EXPECT_EQ(refused["refusal"]["code"], "model_not_found");
    EXPECT_FALSE(refused.contains("endpoint"));
}

TEST_F(Explain, RefusesABadOptionOrConfiguration) {
    options.headers = {"no colon"};
    EXPECT_EQ(run(), kExitConfiguration);
    options.headers = {};
    options.body_file = "/nowhere/body";
    EXPECT_EQ(run(), kExitConfiguration);
    options.body_file = "";
    options.config_file = directory.write("bad.yaml", "modles: []\n");
    EXPECT_EQ(run(), kExitConfiguration);
    EXPECT_THAT(err.str(), HasSubstr("bad.yaml:1:"));
    EXPECT_EQ(out.str(), "");
}

TEST(SampleRequest, IsReadFromJson) {
    const auto request = parse_sample_request(
        R"({"method": "GET", "target": "/x?y", "headers": {"a": "b"}, "body": "raw", "key_id": "k",)"
        R"( "tenant": "t"})");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->method, "GET");
    EXPECT_EQ(request->target, "/x?y");
    EXPECT_EQ(request->body, "raw");
    EXPECT_EQ(request->key_id, "k");
    EXPECT_EQ(request->tenant, "t");
    EXPECT_THAT(request->headers, testing::ElementsAre(testing::Pair("a", "b")));
    const auto defaults = parse_sample_request(R"({"body": {"model": "m"}})");
    ASSERT_TRUE(defaults);
    EXPECT_EQ(defaults->method, "POST");
    EXPECT_EQ(defaults->target, "/v1/chat/completions");
    EXPECT_EQ(defaults->body, R"({"model":"m"})");
}

TEST(SampleRequest, IsRefusedNamingTheKey) {
    for (const auto& [text, key] : {std::pair{"[]", "JSON object"},
                                    {"{", "JSON object"},
                                    {R"({"pfad": 1})", "`pfad`"},
                                    {R"({"method": 1})", "`method`"},
                                    {R"({"headers": []})", "`headers`"},
                                    {R"({"headers": {"a": 1}})", "`headers.a`"},
                                    {R"({"body": 1})", "`body`"}}) {
        const auto request = parse_sample_request(text);
        ASSERT_FALSE(request) << text;
        EXPECT_THAT(request.error().detail, HasSubstr(key));
    }
}

}  // namespace
}  // namespace millrace::gateway

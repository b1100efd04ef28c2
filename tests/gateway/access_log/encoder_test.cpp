#include "gateway/access_log/encoder.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace millrace::gateway {
namespace {

using metrics::AttemptRecord;
using metrics::RequestRecord;

constexpr WallTime at_ms(std::int64_t ms) {
    return WallTime(std::chrono::milliseconds(ms));
}

std::string as_json(std::string_view text) {
    std::string out;
    append_json_text(out, text);
    return out;
}

std::string stamp(std::int64_t ms) {
    std::string out;
    append_rfc3339(out, at_ms(ms));
    return out;
}

RequestRecord full_record() {
    RequestRecord record;
    record.request_id = "req-1";
    record.tenant_name = "acme";
    record.key_id = "k7";
    record.method = "POST";
    record.path = "/v1/chat/completions";
    record.api = "chat_completions";
    record.requested_model = "llama-3-70b";
    record.model_name = "llama-3-8b";
    record.variant_name = "canary";
    record.client_ip = "10.0.0.9";
    record.stream = true;
    record.sdk_retry = true;
    record.outcome = metrics::Outcome::backend_error;
    record.error = Errc::upstream_error_event;
    record.status = 200;
    record.committed = metrics::Commit::heartbeat;
    record.exactness = metrics::Exactness::partial;
    record.tokens = {
        .prompt = 120, .cached = {}, .completion = 40, .reasoning = 0, .cache_write = {}};
    record.bytes_in = 900;
    record.bytes_out = 12'000;
    record.duration = std::chrono::microseconds(1'234'567);
    record.first_token = std::chrono::microseconds(45'006);
    record.queue_wait = std::chrono::microseconds(70);
    record.overhead = std::chrono::microseconds(85);
    AttemptRecord& first = record.attempts.add();
    first.backend_name = "pool";
    first.endpoint = "10.1.2.9:8000";
    first.outcome = metrics::AttemptOutcome::error_status;
    first.status = 429;
    first.tokens.completion = 2;
    first.upstream_bytes_read = 10;
    AttemptRecord& attempt = record.attempts.add();
    attempt.backend_name = "vllm-llama";
    attempt.endpoint = "10.1.2.3:8000";
    attempt.status = 503;
    attempt.upstream_bytes_read = 11'000;
    return record;
}

TEST(AccessLogEncoder, WritesEveryFieldOfARequest) {
    AccessLogEncoder encoder;
    EXPECT_EQ(
        encoder.encode(full_record(), at_ms(1'767'225'599'123)),
        R"({"time":"2025-12-31T23:59:59.123Z","request_id":"req-1","tenant":"acme","key_id":"k7",)"
        R"("method":"POST","path":"/v1/chat/completions","api":"chat_completions",)"
        R"("requested_model":"llama-3-70b",)"
        R"("model":"llama-3-8b","variant":"canary","backend":"vllm-llama",)"
        R"("endpoint":"10.1.2.3:8000","status":200,"upstream_status":503,)"
        R"("outcome":"backend_error","error":"upstream_error_event","committed":"heartbeat",)"
        R"("stream":true,"ttft_ms":45.006,"duration_ms":1234.567,"queue_ms":0.070,)"
        R"("overhead_us":85,"prompt_tokens":120,"completion_tokens":40,"reasoning_tokens":0,)"
        R"("exactness":"partial","bytes_in":900,"bytes_out":12000,"upstream_bytes_read":11010,)"
        R"("attempts":2,"client_ip":"10.0.0.9","sdk_retry":true,)"
        R"("earlier_attempts":[{"backend":"pool","endpoint":"10.1.2.9:8000",)"
        R"("upstream_status":429,"outcome":"error_status","completion_tokens":2}]})");
}

TEST(AccessLogEncoder, LeavesOutWhatIsNotKnown) {
    RequestRecord record;
    record.request_id = "r";
    record.outcome = metrics::Outcome::refused;
    record.error = Errc::bad_host;
    record.status = 400;
    AccessLogEncoder encoder;
    const auto json = nlohmann::json::parse(encoder.encode(record, at_ms(0)));
    for (const char* absent :
         {"tenant", "key_id", "model", "variant", "backend", "endpoint", "upstream_status",
          "ttft_ms", "queue_ms", "overhead_us", "prompt_tokens", "cached_tokens"}) {
        EXPECT_FALSE(json.contains(absent)) << absent;
    }
    EXPECT_EQ(json["error"], "bad_host");
    EXPECT_EQ(json["exactness"], "none");
    EXPECT_EQ(json["attempts"], 0);
}

TEST(AccessLogEncoder, ReusesItsBuffer) {
    AccessLogEncoder encoder;
    const auto first = encoder.encode(full_record(), at_ms(0)).data();
    EXPECT_EQ(encoder.encode(full_record(), at_ms(1)).data(), first);
}

TEST(AccessLogText, EscapesWhateverCouldForgeALine) {
    const std::pair<std::string, std::string> cases[] = {
        {"plain", R"("plain")"},
        {"gpt\n[info] forged", R"("gpt\u000a[info] forged")"},
        {"a\r\nb", R"("a\u000d\u000ab")"},
        {"\x1b[31mred", R"("\u001b[31mred")"},
        {std::string("nul\0byte", 8), R"("nul\u0000byte")"},
        {"del\x7f", R"("del\u007f")"},
        {"say \"hi\" \\", R"("say \"hi\" \\")"},
        {"next\xC2\x85line", R"("next\u0085line")"},
        {"csi\xC2\x9B"
         "2J",
         R"("csi\u009b2J")"},
        {"ls\xE2\x80\xA8ps\xE2\x80\xA9", R"("ls\u2028ps\u2029")"},
        {"\",\"status\":200,\"x\":\"", R"("\",\"status\":200,\"x\":\"")"},
        {"caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80",
         "\"caf\xC3\xA9 \xE6\x97\xA5 \xF0\x9F\x98\x80\""},
        {"\xFFx", R"("\ufffdx")"},
        {"cut\xE2\x80", R"("cut\ufffd\ufffd")"},
        {"overlong\xC0\x8A", R"("overlong\ufffd\ufffd")"},
        {"overlong\xE0\x80\x8A", R"("overlong\ufffd\ufffd\ufffd")"},
        {"surrogate\xED\xA0\x80", R"("surrogate\ufffd\ufffd\ufffd")"},
        {"beyond\xF4\x90\x80\x80", R"("beyond\ufffd\ufffd\ufffd\ufffd")"},
    };
    for (const auto& [text, expected] : cases) {
        EXPECT_EQ(as_json(text), expected);
    }
}

TEST(AccessLogText, IsOneLineOfValidJsonForEveryByteAndPairOfBytes) {
    for (unsigned first = 0; first < 256; ++first) {
        for (unsigned second = 0; second < 256; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second)};
            const std::string out = as_json(text);
            ASSERT_TRUE(nlohmann::json::accept(out)) << first << ' ' << second;
            for (const char c : out) {
                ASSERT_GE(static_cast<unsigned char>(c), 0x20U) << first << ' ' << second;
            }
        }
    }
}

TEST(AccessLogText, IsCutAtItsLimitOnACharacterBoundary) {
    EXPECT_EQ(as_json(std::string(300, 'a')).size(), kMaxLogField + 2);
    EXPECT_EQ(as_json(std::string(255, 'a') + "\xC3\xA9"), '"' + std::string(255, 'a') + '"');
}

TEST(AccessLogTime, IsWrittenAsRfc3339) {
    EXPECT_EQ(stamp(0), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(stamp(951'782'400'001), "2000-02-29T00:00:00.001Z");
    EXPECT_EQ(stamp(1'767'225'599'999), "2025-12-31T23:59:59.999Z");
    EXPECT_EQ(stamp(-1), "1969-12-31T23:59:59.999Z");
}

TEST(AccessLogEncoder, KeepsTheModelThatWasAskedForWhenItChoseAnother) {
    auto record = full_record();
    record.requested_model = "";
    AccessLogEncoder encoder;
    EXPECT_FALSE(
        nlohmann::json::parse(encoder.encode(record, at_ms(0))).contains("requested_model"));
    record.requested_model = "smart";
    const auto line = nlohmann::json::parse(encoder.encode(record, at_ms(0)));
    EXPECT_EQ(line["model"], "llama-3-8b");
    EXPECT_EQ(line["requested_model"], "smart");
}

}  // namespace
}  // namespace millrace::gateway

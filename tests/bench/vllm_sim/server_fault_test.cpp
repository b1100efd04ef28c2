#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "bench/vllm_sim/tokens.hpp"
#include "tests/bench/vllm_sim/server_fixture.hpp"

namespace millrace::vllm_sim {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr std::string_view kPath = "/v1/chat/completions";

/// Everything that comes back for one request with that fault.
std::string wire_of(RawClient& client, std::string_view body, std::string_view fault) {
    client.post(kPath, body, "x-sim-fault: " + std::string(fault) + "\r\nx-sim-tokens: 6\r\n");
    return client.rest();
}

std::size_t count(std::string_view text, std::string_view what) {
    std::size_t found = 0;
    for (std::size_t at = 0; (at = text.find(what, at)) != std::string_view::npos;
         at += what.size()) {
        ++found;
    }
    return found;
}

constexpr std::string_view kContent = R"("delta":{"content":")";
constexpr std::string_view kTokenEvent = R"("token_ids":null}])";

TEST(SimFaults, CutTheResponseExactlyWhereTheyWereToldTo) {
    for (const std::string kind : {"die", "rst"}) {
        Simulator sim;
        {
            RawClient client(sim.port());
            EXPECT_EQ(wire_of(client, kChatStream, kind + "@start"), "");
            EXPECT_EQ(client.reset(), kind == "rst");
            EXPECT_FALSE(client.timed_out());
        }
        {
            RawClient client(sim.port());
            const std::string wire = wire_of(client, kChat, kind + "@bytes=100");
            EXPECT_EQ(wire.size(),
                      kind == "rst" ? wire.size() : 100U);  // a reset may destroy unread bytes
            EXPECT_LE(wire.size(), 100U);
        }
        const auto log = sim.log();
        ASSERT_EQ(log.size(), 2U);
        EXPECT_EQ(log[0]["end"], "fault:" + kind);
        EXPECT_EQ(log[0]["bytes_written"], 0);
        EXPECT_EQ(log[0]["tokens_written"], 0);
        EXPECT_EQ(log[1]["bytes_written"], 100);
    }
}

TEST(SimFaults, DieAfterTheHeadAndAfterTokens) {
    Simulator sim;
    {
        RawClient client(sim.port());
        const std::string wire = wire_of(client, kChatStream, "die@head");
        EXPECT_TRUE(wire.starts_with("HTTP/1.1 200 OK\r\n"));
        EXPECT_TRUE(wire.ends_with("\r\n\r\n"));
        EXPECT_EQ(count(wire, "data:"), 0U);
    }
    {
        RawClient client(sim.port());
        const std::string wire = wire_of(client, kChatStream, "die@tokens=3");
        EXPECT_EQ(count(wire, kTokenEvent), 3U);
        EXPECT_TRUE(wire.ends_with("}\n\n\r\n")) << "the cut is behind a whole event";
    }
    {
        RawClient client(sim.port());
        const std::string wire =
            wire_of(client, kChat, "die@tokens=3");  // a whole body: half of it
        EXPECT_FALSE(wire.contains("kv_transfer_params"));
    }
    const auto log = sim.log();
    ASSERT_EQ(log.size(), 3U);
    EXPECT_EQ(log[0]["bytes_written"], log[0]["head_bytes"]);
    EXPECT_EQ(log[1]["tokens_written"], 3);
    EXPECT_EQ(log[2]["tokens_written"], 0);
}

TEST(SimFaults, StallKeepsTheConnectionOpenAndSilent) {
    Simulator sim;
    {
        RawClient client(sim.port());
        client.post(kPath, kChatStream, "x-sim-fault: stall@tokens=2\r\nx-request-id: s\r\n");
        while (client.receive(100)) {
        }
        EXPECT_TRUE(client.timed_out());
        EXPECT_FALSE(client.ended());
        EXPECT_EQ(count(client.buffered(), kTokenEvent), 2U);
    }
    EXPECT_TRUE(sim.until("/sim/live", [](const json& live) { return live["count"] == 0; }));
    const auto log = sim.log();
    ASSERT_EQ(log.size(), 1U);
    EXPECT_EQ(log[0]["end"], "fault:stall");
    EXPECT_EQ(log[0]["tokens_written"], 2);
}

TEST(SimFaults, FramingFaultsBreakExactlyOneRule) {
    const Simulator sim;
    const auto wire = [&](std::string_view body, std::string_view fault) {
        RawClient client(sim.port());
        std::string bytes = wire_of(client, body, fault);
        EXPECT_TRUE(client.ended()) << fault;
        return bytes;
    };
    const auto body_size = [](const std::string& bytes) {
        return bytes.size() - bytes.find("\r\n\r\n") - 4;
    };
    const auto declared = [](const std::string& bytes) {
        return static_cast<std::size_t>(
            std::atoll(bytes.c_str() + bytes.find("content-length: ") + 16));
    };
    const std::string shorter = wire(kChat, "short-length");
    EXPECT_EQ(declared(shorter), body_size(shorter) - 5);
    const std::string longer = wire(kChat, "long-length");
    EXPECT_EQ(declared(longer), body_size(longer) + 5);
    const std::string both = wire(kChatStream, "te-cl");
    EXPECT_EQ(count(both, "content-length: "), 1U);
    EXPECT_EQ(count(both, "transfer-encoding: chunked"), 1U);
    const std::string lines = wire(kChat, "lf-head");
    EXPECT_EQ(count(lines, "\r"), 0U);
    EXPECT_TRUE(lines.contains("\n\n{"));
    const std::string eof = wire(kChat, "eof-body");
    EXPECT_FALSE(eof.contains("content-length"));
    EXPECT_FALSE(eof.contains("transfer-encoding"));
    EXPECT_TRUE(eof.ends_with("}"));
    const std::string chunk = wire(kChatStream, "bad-chunk@tokens=2");
    EXPECT_EQ(count(chunk, kTokenEvent), 2U);
    EXPECT_TRUE(chunk.ends_with("xyz\r\n"));
}

TEST(SimFaults, ErrorEventsComeWhereTheyWereToldToAndEndTheStream) {
    Simulator sim;
    const auto first = sim.post(kPath, kChatStream, "x-sim-fault: error-event\r\n");
    EXPECT_TRUE(first.complete);
    EXPECT_TRUE(first.body.starts_with("data: {\"error\":"));
    EXPECT_TRUE(first.body.ends_with("data: [DONE]\n\n"));
    const auto later = sim.post(kPath, kChatStream, "x-sim-fault: error-event@tokens=2\r\n");
    EXPECT_EQ(count(later.body, kContent), 2U);
    EXPECT_THAT(later.body, HasSubstr("data: {\"error\":"));
    EXPECT_EQ(sim.post(kPath, kChat, "x-sim-fault: error-event\r\n").status(), 500);
    const auto never =
        sim.post(kPath, kChatStream, "x-sim-fault: error-event@tokens=9\r\nx-sim-tokens: 5\r\n");
    EXPECT_EQ(count(never.body, kContent), 5U);
    EXPECT_EQ(sim.get_json("/sim/stats")["faults"], 3);
    const auto log = sim.log();
    EXPECT_EQ(log[1]["end"], "fault:error-event");
    EXPECT_EQ(log[3]["end"], "completed") << "the answer was shorter";
}

TEST(SimFaults, StatusFaultsCarryTheirHeaders) {
    const Simulator sim;
    for (const int status : {400, 429, 500, 503}) {
        const auto response = sim.post(
            kPath, kChat, "x-sim-fault: status=" + std::to_string(status) + ",retry-after=7\r\n");
        EXPECT_EQ(response.status(), status);
        EXPECT_THAT(response.head, HasSubstr("retry-after: 7\r\n"));
        EXPECT_EQ(json::parse(response.body)["error"]["code"], status);
    }
    EXPECT_EQ(sim.post(kPath, kChat, "x-sim-fault: explode\r\n").status(), 400);
}

TEST(SimFaults, SlowHeadsArriveInTwoHalves) {
    const Simulator sim;
    RawClient client(sim.port());
    const auto start = std::chrono::steady_clock::now();
    client.post(kPath, kChat, "x-sim-fault: slow-head=60\r\n");
    ASSERT_TRUE(client.receive());
    EXPECT_FALSE(client.buffered().contains("\r\n\r\n"));
    const auto response = client.response();
    EXPECT_TRUE(response.complete);
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(60));
    client.post(kPath, kChat);
    EXPECT_TRUE(client.response().complete) << "the connection is still good";
}

TEST(SimFaults, AServerWideFaultStrikesEveryNthRequest) {
    Options options;
    options.fault = *parse_fault("status=500");
    options.fault_every = 2;
    const Simulator sim(options);
    EXPECT_EQ(sim.post(kPath, kChat).status(), 200);
    EXPECT_EQ(sim.post(kPath, kChat).status(), 500);
    EXPECT_EQ(sim.post("/sim/faults", R"({"fault":"status=503","count":1})").status(), 200);
    EXPECT_EQ(sim.post(kPath, kChat).status(), 503);
    EXPECT_EQ(sim.post(kPath, kChat).status(), 200);
    EXPECT_EQ(sim.post("/sim/faults", R"({"fault":"nonsense"})").status(), 400);
}

TEST(SimFaults, LeavesTheFinalUsageOut) {
    const Simulator sim;
    const auto response = sim.post(kPath, kChatStream, "x-sim-fault: no-usage\r\n");
    EXPECT_FALSE(response.body.contains("\"choices\":[],"));
    EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
}

TEST(SimFaults, IdleKeepAliveConnectionsAreClosedInTheConfiguredTime) {
    Options options;
    options.idle_close = {std::chrono::milliseconds(20), std::chrono::milliseconds(40)};
    const Simulator sim(options);
    RawClient client(sim.port());
    client.post(kPath, kChat);
    EXPECT_TRUE(client.response().complete);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(client.rest(), "");
    EXPECT_TRUE(client.ended());
    EXPECT_FALSE(client.reset());
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(15));
}

/// The oracle's view: for every prefix of what came over the wire, the log must say which tokens
/// lie within it.
TEST(SimFaults, LogOffsetsAgreeWithTheBytesOnTheWire) {
    for (const std::string_view path :
         {"/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"}) {
        Simulator sim;
        const auto response = sim.post(
            path, R"({"messages":[],"prompt":"x","input":"x","max_tokens":9,"stream":true})");
        ASSERT_TRUE(response.complete) << path;
        const auto log = sim.log();
        ASSERT_EQ(log.size(), 1U);
        EXPECT_EQ(log[0]["head_bytes"], response.head.size());
        EXPECT_EQ(log[0]["bytes_written"], response.wire.size());
        EXPECT_EQ(log[0]["marks"].size(), 9U);
        for (const auto& mark : log[0]["marks"]) {
            const std::size_t offset = mark[1];
            const std::uint32_t tokens = mark[0];
            EXPECT_EQ(response.wire.substr(offset - 2, 2), "\n\n") << path;
            EXPECT_EQ(response.wire.substr(offset, 2), "\r\n") << path;
            const std::string last = token_at(1, tokens - 1);
            EXPECT_TRUE(response.wire.substr(0, offset).contains(last)) << path;
            EXPECT_FALSE(response.wire.substr(0, offset).contains(token_at(1, tokens))) << path;
        }
    }
}

}  // namespace
}  // namespace millrace::vllm_sim

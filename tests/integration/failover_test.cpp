// A backend that breaks in any way before the first byte of its answer was relayed costs the client
// nothing, as long as another endpoint works; and it is taken out of rotation.
#include <algorithm>
#include <atomic>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

struct Fault {
    const char* name;
    ScriptedBackend::Script script;
};

/// One model on a pool of a broken and a sound backend.
struct Pair {
    explicit Pair(ScriptedBackend::Script fault,
                  std::string_view backend_extra = "outliers: {failures: 0}",
                  std::string_view model_extra = {},
                  ScriptedBackend::Script well = ScriptedBackend::answering(well_behaved))
        : broken(std::move(fault)),
          sound(std::move(well)),
          gateway({.document = document(backend_extra, model_extra)}) {}

    std::string document(std::string_view backend_extra, std::string_view model_extra) const {
        auto text = one_model(broken.url(), backend_extra, model_extra);
        const auto at = text.find(broken.url() + '"') + broken.url().size() + 1;
        return text.insert(at, ", \"" + sound.url() + '"');
    }

    ScriptedBackend broken;
    ScriptedBackend sound;
    GatewayProcess gateway;
};

ScriptedBackend::Script after_request(std::string bytes, bool reset = false) {
    return [bytes = std::move(bytes), reset](BackendConnection& connection) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(bytes);
        if (reset) {
            connection.reset();
        }
    };
}

std::vector<Fault> faults() {
    const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    return {
        {"ClosesAtOnce", [](BackendConnection& connection) { connection.close(); }},
        {"ClosesAfterTheRequest", after_request("")},
        {"ResetsAfterTheRequest", after_request("", true)},
        {"ClosesInTheHead", after_request("HTTP/1.1 200 OK\r\nContent-")},
        {"ResetsAfterTheHead", after_request(head + "Content-Length: 100\r\n\r\n", true)},
        {"ClosesAfterTheHead", after_request(head + "Transfer-Encoding: chunked\r\n\r\n")},
        {"ClosesInTheFirstChunkHeader",
         after_request(head + "Transfer-Encoding: chunked\r\n\r\n1")},
        {"SpeaksGarbage", after_request("\x16\x03\x01 this is not HTTP\r\n\r\n")},
        {"SendsABrokenChunk", after_request(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n")},
        {"ContradictsItself",
         after_request(head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc")},
        {"EndsAStreamBeforeItsFirstEvent", after_request(stream_head() + chunk("data: {\"id\""))},
        {"IsOverloaded", ScriptedBackend::always(json_response(nlohmann::json::object(), 503))},
        {"IsABadGateway", ScriptedBackend::always(json_response(nlohmann::json::object(), 502))},
        {"IsFull", ScriptedBackend::always(json_response(nlohmann::json::object(), 429))},
        {"SaysSoInTheFirstEvent",
         ScriptedBackend::always(
             stream_head() +
             chunk("data: {\"error\": {\"message\": \"dead\", \"code\": 503}}\n\n") +
             std::string(kLastChunk))},
    };
}

class Failover : public testing::TestWithParam<Fault> {};

TEST_P(Failover, IsInvisibleToTheClient) {
    const Pair pair(GetParam().script);
    for (int i = 0; i < 12; ++i) {
        const auto answer = call(pair.gateway.port(), post(kChat, chat("m1", i % 2 == 0)));
        EXPECT_EQ(answer.status(), 200) << i << ' ' << answer.raw;
        EXPECT_TRUE(answer.complete) << i;
    }
    EXPECT_TRUE(pair.gateway.quiet());
    EXPECT_EQ(pair.sound.request_count(), 12U) << "each once, no duplicates";
}

INSTANTIATE_TEST_SUITE_P(Faults, Failover, testing::ValuesIn(faults()),
                         [](const auto& info) { return info.param.name; });

TEST(FailoverOfSilence, GoesOnAfterTheLimit) {
    const Pair pair(
        [](BackendConnection& connection) {
            if (connection.read_request()) {
                connection.wait_until_gone();
            }
        },
        "timeouts: {first_byte: 100ms}");
    for (int i = 0; i < 6; ++i) {
        EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_EQ(pair.sound.request_count(), 6U);
}

TEST(FailoverOfARefusal, RelaysTheAnswerWhenThereIsNobodyElse) {
    auto error = nlohmann::json{{"error", {{"message", "full"}, {"code", 429}}}};
    const Rig rig(ScriptedBackend::always(json_response(error, 429)));
    const auto answer = rig.chat_call(chat("m1"));
    EXPECT_EQ(answer.status(), 429);
    EXPECT_EQ(answer.json(), error);
    EXPECT_EQ(rig.backend.request_count(), 1U);
}

TEST(FailoverOfAStoredResponse, HappensOnlyWhenItCannotHaveArrived) {
    const Pair pair(after_request(""));
    auto body = chat("m1");
    body["store"] = true;
    int failed = 0;
    for (int i = 0; i < 12; ++i) {
        failed += call(pair.gateway.port(), post(kChat, body)).status() == 502 ? 1 : 0;
    }
    EXPECT_GT(failed, 0) << "sent once, so its failure is the answer";
    EXPECT_EQ(pair.sound.request_count() + static_cast<std::size_t>(failed), 12U);
}

TEST(FailoverAttempts, AreConfigured) {
    const Pair pair(after_request(""), "outliers: {failures: 0}", "retry: {attempts: 1}");
    int failed = 0;
    for (int i = 0; i < 20; ++i) {
        failed += call(pair.gateway.port(), post(kChat, chat("m1"))).status() == 502 ? 1 : 0;
    }
    EXPECT_GT(failed, 0);
}

TEST(Ejection, TakesAFailingEndpointOutOfRotationAndBackIn) {
    std::atomic<bool> healed{false};
    const Pair pair(
        [&](BackendConnection& connection) {
            while (connection.read_request()) {
                if (!healed || !connection.send(json_response(chat_answer()))) {
                    return;
                }
            }
        },
        "outliers: {failures: 3, ejection: 500ms}");
    const auto ejected = [&] {
        return pair.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}});
    };
    for (int i = 0; i < 40 && ejected() == 0; ++i) {
        EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    ASSERT_EQ(ejected(), 1);
    const auto before = pair.broken.request_count();
    healed = true;
    ASSERT_TRUE(eventually([&] { return ejected() == 0; }));
    EXPECT_EQ(pair.broken.request_count(), before);
    ASSERT_TRUE(eventually([&] {
        EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
        return pair.broken.request_count() > before + 3;
    }));
    EXPECT_NE(pair.gateway.errors().find("is ejected (consecutive_failures)"), std::string::npos);
}

TEST(HealthChecks, TakeAnEndpointOutAndLetItBackIn) {
    std::atomic<bool> is_well{true};
    const auto answer = [&](const Message& seen) {
        const bool is_check = seen.target() == "/health";
        return json_response(chat_answer(), is_check && !is_well ? 503 : 200);
    };
    const Pair pair(ScriptedBackend::answering(answer),
                    "health: {interval: 1s, timeout: 500ms, unhealthy_after: 1}");
    const auto unhealthy = [&] {
        return pair.gateway.metrics().sum("millrace_endpoints", {{"state", "unhealthy"}});
    };
    EXPECT_EQ(unhealthy(), 0);
    is_well = false;
    ASSERT_TRUE(eventually([&] { return unhealthy() == 1; }));
    const auto chats = [&] {
        return std::ranges::count(pair.broken.requests(), std::string(kChat), &Message::target);
    };
    const auto before = chats();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_EQ(chats(), before);
    is_well = true;
    ASSERT_TRUE(eventually([&] { return unhealthy() == 0; }));
    ASSERT_TRUE(eventually([&] {
        call(pair.gateway.port(), post(kChat, chat("m1")));
        return chats() > before;
    }));
}

/// Answers checks and chats, streams until the test releases "the end"; with `shuts_down` it fails
/// its checks and closes every connection after its answer.
ScriptedBackend::Script shutting_down_when(const std::atomic<bool>& shuts_down) {
    return [&shuts_down](BackendConnection& connection) {
        while (const auto seen = connection.read_request()) {
            const bool is_check = seen->target() == "/health";
            if (!is_check && seen->json().value("stream", false)) {
                connection.send(StreamStart().token);
                connection.wait_for("the end");
                connection.send(chunk("data: [DONE]\n\n") + std::string(kLastChunk));
                return;
            }
            auto answer = json_response(chat_answer(), is_check && shuts_down ? 503 : 200);
            if (shuts_down) {
                answer.insert(answer.find("\r\n") + 2, "Connection: close\r\n");
            }
            if (!connection.send(answer) || shuts_down) {
                return;
            }
        }
    };
}

TEST(HealthChecks, TakeAnEndpointOutAtOnceWhenItIsShuttingDown) {
    std::atomic<bool> shuts_down{false};
    const std::atomic<bool> never{false};
    Pair pair(shutting_down_when(shuts_down),
              "health: {interval: 1s, timeout: 500ms, unhealthy_after: 1000}", {},
              shutting_down_when(never));
    const auto chats = [&] {
        return std::ranges::count(pair.broken.requests(), std::string(kChat), &Message::target);
    };
    const auto call_until = [&](auto condition) {
        return eventually([&] {
            EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
            return condition();
        });
    };
    // One stream on each, because the endpoint with fewer requests in flight comes first.
    std::vector<RawClient> streams;
    for (int i = 0; i < 2; ++i) {
        streams.emplace_back(pair.gateway.port());
        streams.back().send(post(kChat, chat("m1", true)));
        ASSERT_TRUE(streams.back().read_event("t0"));
    }
    ASSERT_TRUE(call_until([&] { return chats() > 3; })) << "it keeps its connections";
    shuts_down = true;
    ASSERT_TRUE(call_until([&] {
        return pair.gateway.metrics().sum("millrace_endpoints", {{"state", "unhealthy"}}) == 1;
    }));
    const auto before = chats();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(call(pair.gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_EQ(chats(), before) << "nothing new";
    EXPECT_TRUE(eventually([&] {
        return pair.gateway.errors().find("is unhealthy (shutting_down)") != std::string::npos;
    }));
    pair.broken.release("the end");
    pair.sound.release("the end");
    for (auto& stream : streams) {
        const auto last = stream.read_response();
        ASSERT_TRUE(last);
        EXPECT_TRUE(last->complete) << "what runs there finishes";
    }
}

TEST(Ejection, NeverComesFromWhatClientsDoWrong) {
    const Pair pair(ScriptedBackend::always(json_response(nlohmann::json::object(), 400)),
                    "outliers: {failures: 1, ejection: 60s}");
    for (int i = 0; i < 20; ++i) {
        call(pair.gateway.port(), post(kChat, chat("m1")));
    }
    EXPECT_EQ(pair.gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 0);
    EXPECT_GT(pair.broken.request_count(), 0U);
}

}  // namespace
}  // namespace millrace::test

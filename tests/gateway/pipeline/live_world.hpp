// A pipeline whose endpoints are scripted backends on loopback, and one request that has been read
// and resolved, so that the steps after that run one by one. The clock is the test's.
// Thread-safety: none; a test's own thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/openai/peek.hpp"
#include "gateway/pipeline/answer.hpp"
#include "gateway/pipeline/resolve.hpp"
#include "tests/gateway/pipeline/world.hpp"
#include "tests/gateway/upstream/rig.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::gateway::testing_support {

using namespace std::chrono_literals;
using test::BackendConnection;
using test::ScriptedBackend;

inline constexpr std::string_view kRole =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
inline constexpr std::string_view kContent =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
inline constexpr std::string_view kDone = "data: [DONE]\n\n";

/// A whole stream of one content token.
inline std::string whole_stream() {
    return test::stream_head() +
           test::chunk(std::string(kRole) + std::string(kContent) + std::string(kDone)) +
           std::string(test::kLastChunk);
}
/// Reads the request and never answers.
inline ScriptedBackend::Script silent() {
    return [](BackendConnection& connection) {
        if (connection.read_request()) {
            connection.wait_until_gone();
        }
    };
}
/// Sends `first` at once and `then` after release("go"), and stays.
inline ScriptedBackend::Script two_parts(std::string first, std::string then) {
    return [first = std::move(first), then = std::move(then)](BackendConnection& connection) {
        if (connection.read_request() && connection.send(first) && connection.wait_for("go") &&
            connection.send(then)) {
            connection.wait_until_gone();
        }
    };
}
/// The same, but closes afterwards.
inline ScriptedBackend::Script then_close(std::string first, std::string then = {}) {
    return [first = std::move(first), then = std::move(then)](BackendConnection& connection) {
        if (connection.read_request() && connection.send(first) && connection.wait_for("go")) {
            connection.send(then);
        }
    };
}

class LiveTest : public testing::Test {
protected:
    config::Model& model() { return world.config.models.front(); }
    config::Backend& pool_settings() { return world.config.backends["pool"]; }

    /// One more backend. Those that are there when a request is made are the endpoints of "pool";
    /// without any it has one that nobody listens at.
    ScriptedBackend& backend(ScriptedBackend::Script script) {
        return *backends.emplace_back(std::make_unique<ScriptedBackend>(std::move(script)));
    }
    static void lead_to(routing::Pool& pool, const std::vector<const ScriptedBackend*>& to) {
        std::vector<routing::EndpointAddress> addresses;
        for (const auto* one : to) {
            addresses.push_back({test::loopback(), one->port(), false, {}});
        }
        pool.update(addresses);
    }
    /// A chat request, read and resolved.
    void ask(bool stream, std::string_view more_fields = {}) {
        body = R"({"model":"m","stream":)" + std::string(stream ? "true" : "false") +
               std::string(more_fields) + R"(,"messages":[{"role":"user","content":"Hello"}]})";
        make("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n" + extra_head +
             "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n");
        request.surface = &openai::surface_of(openai::Api::chat_completions);
        request.body = body;
        openai::Peek peek;
        ASSERT_TRUE(peek.feed(body));
        auto fields = peek.finish(body);
        ASSERT_TRUE(fields);
        request.fields = std::move(*fields);
        find();
    }
    /// Everything but the body.
    void make(std::string head) {
        if (world.snapshot == nullptr) {
            world.publish();
        }
        if (!backends.empty()) {
            std::vector<const ScriptedBackend*> endpoints;
            for (const auto& one : backends) {
                endpoints.push_back(one.get());
            }
            lead_to(pool(), endpoints);
        }
        text.emplace(world, std::move(head));
        turns.emplace(world.clock, world.loop, text->abort);
        request = {};
    }
    void find() {
        auto found = resolve(scope(), request);
        ASSERT_TRUE(found) << found.error().detail;
        resolved = std::move(*found);
    }
    routing::Pool& pool() { return *world.state.pools.find("pool"); }
    const std::shared_ptr<routing::EndpointState>& endpoint(std::size_t index) {
        return world.endpoints.of(pool()).endpoints[index];
    }
    RequestScope& scope() { return *text->scope; }
    metrics::VariantCells& counted() {
        return world.registry.slot(0).variant(scope().record.variant);
    }
    metrics::DemandCounts demand() { return counted().demand.read(); }

    PipelineWorld world;
    std::vector<std::unique_ptr<ScriptedBackend>> backends;
    std::string extra_head;  ///< fields of the next request, each with its CRLF
    std::string body;
    std::optional<TextRequest> text;
    std::optional<Turns> turns;
    Request request;
    Resolved resolved;
};

}  // namespace millrace::gateway::testing_support

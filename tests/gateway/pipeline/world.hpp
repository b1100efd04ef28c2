// One worker's services over a configuration that a test builds, and a client that is not there:
// requests come from a text, answers are kept. Thread-safety: none.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/http1/head_parser.hpp"
#include "gateway/pipeline/mirror.hpp"
#include "gateway/pipeline/scope.hpp"
#include "gateway/pipeline/services.hpp"
#include "metrics/registry.hpp"
#include "tests/metrics/exposition.hpp"
#include "tests/routing/support.hpp"
#include "tests/support/manual_clock.hpp"

namespace millrace::gateway::testing_support {

/// Keeps what it is given; `client_is_there` decides what writes report.
class KeptAnswer final : public ResponseSink {
public:
    void begin(const AnswerHead& head) override { keep(head); }
    Task<bool> write(Pieces pieces, bool last) override {
        for (const auto piece : pieces) {
            body += piece;
        }
        complete = complete || last;
        co_return client_is_there;
    }
    Task<void> cut(std::string_view farewell) override {
        body += farewell;
        co_return;
    }
    Task<bool> respond(const AnswerHead& head, std::string_view text, bool closes) override {
        keep(head);
        body = text;
        closed = closes;
        complete = true;
        co_return client_is_there;
    }
    bool committed() const override { return status != 0; }
    std::uint64_t bytes_written() const override { return body.size(); }

    std::string field(std::string_view name) const {
        for (const auto& [key, value] : fields) {
            if (equals_ignoring_case(key, name)) {
                return value;
            }
        }
        return {};
    }

    int status = 0;
    bool has_body = false;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body;
    bool closed = false;
    bool complete = false;
    bool client_is_there = true;

private:
    void keep(const AnswerHead& head) {
        status = head.status;
        has_body = head.has_body;
        for (const auto& field : head.fields) {
            fields.emplace_back(field.name, field.value);
        }
    }
};

class NoBody final : public BodySource {
public:
    Task<Result<std::string_view>> read_all(std::uint64_t, BudgetLease&, BodyObserver*) override {
        co_return std::string_view{};
    }
    void release() override {}
};

/// Configuration, state and services.
class PipelineWorld {
public:
    PipelineWorld() {
        config.models.push_back(
            routing::testing::model("m", {routing::testing::variant("v", 1, "pool", "served")}));
        config.backends["pool"];
    }

    /// Makes what was configured current. Call once, before services().
    const Snapshot& publish() {
        auto loaded = std::make_shared<config::Loaded>();
        loaded->config = config;
        loaded->routes = routes;
        auto catalog = routing::Catalog::compile(loaded, state, interner);
        for (const auto& pool : state.pools.all()) {
            pool->update({{"10.0.0.1", 8000, false, "llm.example"}});
        }
        std::vector<BackendRuntime> backends(state.pools.all().size());
        for (const auto& [name, settings] : loaded->config.backends) {
            if (const auto pool = state.pools.find(name); pool != nullptr) {
                backends.at(pool->id()) = {&settings, nullptr, authorization,
                                           std::make_shared<BackendLearned>()};
            }
        }
        snapshot = std::make_shared<Snapshot>(Snapshot{loaded,
                                                       std::move(catalog),
                                                       Authenticator(nullptr, clock),
                                                       std::move(backends),
                                                       TrustedProxies::parse(config.trust.proxies),
                                                       nullptr,
                                                       {},
                                                       {}});
        published.publish(snapshot);
        return *snapshot;
    }

    config::Config config;
    std::vector<config::HttpRoute> routes;
    std::string authorization;  ///< of every backend
    std::shared_ptr<const Snapshot> snapshot;

    test::ManualClock clock;
    metrics::Registry registry{1};
    routing::RoutingState state;
    routing::testing::FakeInterner interner;
    Published<Snapshot> published{nullptr};
    Published<Snapshot>::Reader reader{published};
    Loop loop{clock, 1, [](Duration) {}};
    UpstreamPool upstreams{loop};
    routing::EndpointView endpoints;
    ByteBudget budget{1 << 20};
    routing::OverloadLadder overload;
    openai::ResponseIds response_ids;
    ScratchPool scratch;
    routing::PromptBlocks prompt_blocks{{}};
    Mirrors mirrors;
    Services services{loop,    clock,    upstreams,    endpoints, registry.slot(0),
                      budget,  overload, response_ids, nullptr,   reader,
                      scratch, mirrors,  prompt_blocks};
};

/// One request as the session would hand it over.
class TextRequest {
public:
    TextRequest(PipelineWorld& world, std::string text, Peer peer = {"192.0.2.1", false, {}})
        : text_(std::move(text)) {
        const auto status = parser_.parse(text_);
        EXPECT_TRUE(status && *status == http1::ParseStatus::complete)
            << (status ? "incomplete" : status.error().detail) << ": " << text_;
        exchange.emplace(Exchange{parser_.head(), peer, body, answer, abort, world.loop.recent()});
        scope.emplace(world.services, *exchange);
    }

    NoBody body;
    KeptAnswer answer;
    AbortSignal abort;
    std::optional<Exchange> exchange;
    std::optional<RequestScope> scope;  ///< reset() settles it

private:
    std::string text_;
    http1::HeadParser parser_;
};

/// Runs a coroutine that waits for nothing.
inline void run(Task<void> task) {
    bool done = false;
    spawn(std::move(task), [&done](const std::exception_ptr& failure) { done = !failure; });
    EXPECT_TRUE(done);
}

}  // namespace millrace::gateway::testing_support

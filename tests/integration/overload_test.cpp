// The gateway protects itself: what runs out is told to clients in time, never at the expense of
// what runs already, and all is as before when there is enough again.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/integration/rig.hpp"

namespace millrace::test {
namespace {

/// Answers every request when the test says so.
ScriptedBackend::Script held(const char* name) {
    return [name](BackendConnection& connection) {
        while (connection.read_request()) {
            connection.wait_for(name);
            if (!connection.send(json_response(chat_answer()))) {
                return;
            }
        }
    };
}

double step(const GatewayProcess& gateway) {
    return gateway.metrics().sum("millrace_overload_step");
}

/// The number that the process's next descriptor will have.
rlim_t next_descriptor(pid_t pid) {
    rlim_t number = 0;
    while (std::filesystem::exists(std::filesystem::symlink_status(
        "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(number)))) {
        ++number;
    }
    return number;
}

/// The process can open no more descriptors than it has now, until this goes.
class NoMoreDescriptors {
public:
    explicit NoMoreDescriptors(pid_t pid) : pid_(pid) {
        ::prlimit(pid_, RLIMIT_NOFILE, nullptr, &before_);
        const rlimit now{next_descriptor(pid), before_.rlim_max};
        ::prlimit(pid_, RLIMIT_NOFILE, &now, nullptr);
    }
    NoMoreDescriptors(const NoMoreDescriptors&) = delete;
    NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;
    ~NoMoreDescriptors() { ::prlimit(pid_, RLIMIT_NOFILE, &before_, nullptr); }

private:
    pid_t pid_;
    rlimit before_{};
};

TEST(Overload, OfLargeBodiesIsRefusedWithAReasonAndPasses) {
    constexpr int kRequests = 20;  // twice what the budget holds
    Rig rig(held("go"), {}, {.document = "limits: {body: 512KiB, buffered_bytes: 2MiB}\n"});
    const auto large = chat("m1", false, std::string(205'000, 'x'));
    std::vector<RawClient> clients;
    for (int i = 0; i < kRequests; ++i) {
        clients.emplace_back(rig.gateway.port());
        clients.back().send(post(kChat, large));
    }
    ASSERT_TRUE(rig.backend.wait_for_requests(10)) << "what fits is served";
    ASSERT_TRUE(eventually([&] { return step(rig.gateway) == 3; })) << "97 % are held";
    EXPECT_LE(rig.gateway.metrics().sum("millrace_buffered_bytes"), 2 * 1024 * 1024);
    const auto small = rig.chat_call(chat("m1"));
    EXPECT_EQ(small.status(), 503);
    EXPECT_EQ(small.error_code(), "server_overloaded");
    EXPECT_EQ(small.header("x-millrace-reason"), "server_overloaded");
    EXPECT_EQ(small.header("connection"), "close");
    EXPECT_FALSE(small.header("retry-after").empty());
    rig.backend.release("go");
    int served = 0;
    for (auto& client : clients) {
        const auto answer = client.read_response();
        ASSERT_TRUE(answer);
        served += answer->status() == 200 ? 1 : 0;
        if (answer->status() != 200) {
            EXPECT_EQ(answer->status(), 503);
            EXPECT_EQ(answer->error_code(), "server_overloaded");
            EXPECT_FALSE(answer->header("retry-after").empty());
        }
    }
    EXPECT_EQ(served, 10);
    EXPECT_TRUE(eventually([&] { return step(rig.gateway) == 0; }));
    EXPECT_TRUE(
        eventually([&] { return rig.gateway.metrics().sum("millrace_buffered_bytes") == 0; }));
    EXPECT_EQ(rig.chat_call(large).status(), 200) << "it recovers by itself";
    EXPECT_NE(rig.gateway.errors().find("bytes are held (limits.buffered_bytes)"),
              std::string::npos)
        << rig.gateway.errors();
}

TEST(Overload, OfTheQueueCountsAgainstTheSameBudget) {
    Rig rig(held("go"), "slots_per_endpoint: 1",
            {.document = "limits: {body: 512KiB, buffered_bytes: 1MiB}\n"});
    const auto large = chat("m1", false, std::string(205'000, 'x'));
    std::vector<RawClient> clients;
    for (int i = 0; i < 4; ++i) {  // one at the backend, three in the line
        clients.emplace_back(rig.gateway.port());
        clients.back().send(post(kChat, large));
    }
    ASSERT_TRUE(
        eventually([&] { return rig.gateway.metrics().sum("millrace_queued_requests") == 3; }));
    EXPECT_GE(rig.gateway.metrics().sum("millrace_buffered_bytes"), 4 * 200'000);
    const auto refused = rig.chat_call(chat("m1", false, std::string(400'000, 'x')));
    EXPECT_EQ(refused.error_code(), "server_overloaded");
    rig.backend.release("go");
    for (auto& client : clients) {
        EXPECT_EQ(client.read_response().value_or(Message{}).status(), 200);
    }
    EXPECT_TRUE(rig.gateway.quiet());
}

TEST(Overload, OfDescriptorsLeavesConnectionsInTheBacklogUntilThereAreSome) {
    const Rig rig;
    RawClient first(rig.gateway.port());
    first.send(request("GET", "/v1/models"));
    ASSERT_TRUE(first.read_response());
    std::optional<RawClient> late;
    {
        const NoMoreDescriptors none(rig.gateway.pid());
        ASSERT_TRUE(eventually(
            [&] { return rig.gateway.errors().find("is stop_accepting: ") != std::string::npos; }));
        EXPECT_NE(rig.gateway.errors().find("RLIMIT_NOFILE"), std::string::npos);
        late.emplace(rig.gateway.port());
        ASSERT_TRUE(late->connected());
        late->send(request("GET", "/v1/models"));
        first.send(request("GET", "/v1/models"));
        const auto told = first.read_response();
        ASSERT_TRUE(told);
        EXPECT_EQ(told->header("connection"), "close") << "its descriptor is wanted back";
        EXPECT_FALSE(late->read_response(300ms));
    }
    const auto answer = late->read_response();
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->status() == 200 || answer->status() == 503) << answer->raw;
    EXPECT_TRUE(eventually([&] { return step(rig.gateway) == 0; }));
    EXPECT_EQ(get(rig.gateway.port(), "/v1/models").status(), 200);
}

TEST(Overload, OfDescriptorsIsNoEvidenceAgainstBackends) {
    const ScriptedBackend other(ScriptedBackend::answering(well_behaved));
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    auto document = one_model(backend.url(), "outliers: {failures: 2, ejection: 60s}");
    document.insert(document.find(backend.url() + '"') + backend.url().size() + 1,
                    ", \"" + other.url() + '"');
    const GatewayProcess gateway({.document = document});
    RawClient client(gateway.port());
    client.send(request("GET", "/v1/models"));
    ASSERT_TRUE(client.read_response());
    // Scrapers hold descriptors that the ladder does not count, so that it stays out of this.
    std::vector<RawClient> scrapers;
    for (int i = 0; i < 60; ++i) {
        scrapers.emplace_back(gateway.metrics_port());
        scrapers.back().send(request("GET", "/healthz"));
        ASSERT_TRUE(scrapers.back().read_response());
    }
    {
        const NoMoreDescriptors none(gateway.pid());
        for (int i = 0; i < 10; ++i) {
            client.send(post(kChat, chat("m1")));
            const auto refused = client.read_response();
            ASSERT_TRUE(refused) << i;
            EXPECT_EQ(refused->status(), 503) << refused->raw;
            EXPECT_EQ(refused->error_code(), "server_overloaded");
            EXPECT_NE(refused->error_message().find("open files"), std::string::npos);
        }
    }
    client.send(post(kChat, chat("m1")));
    EXPECT_EQ(client.read_response().value_or(Message{}).status(), 200);
    scrapers.clear();
    EXPECT_EQ(gateway.metrics().sum("millrace_endpoints", {{"state", "ready"}}), 2);
    EXPECT_EQ(gateway.metrics().sum("millrace_endpoints", {{"state", "ejected"}}), 0);
    EXPECT_EQ(gateway.errors().find("ejected"), std::string::npos) << gateway.errors();
}

TEST(Overload, FollowsItsConfigurationWithoutARestart) {
    Rig rig(ScriptedBackend::answering(well_behaved), {},
            {.document = "overload: {loop_lag: 250ms}\n"});
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
    rig.gateway.write_document(one_model(rig.backend.url()) + "overload: {loop_lag: 1s}\n");
    EXPECT_TRUE(rig.gateway.reload());
    EXPECT_EQ(rig.chat_call(chat("m1")).status(), 200);
}

}  // namespace
}  // namespace millrace::test

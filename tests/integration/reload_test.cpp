// Reloads under load: nothing refused, nothing reset, no stream cut, and a broken document changes
// nothing.
#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/openssl_command.hpp"
#include "tests/support/sim_process.hpp"

namespace millrace::test {
namespace {

TEST(Reload, TakesNewModelsAndForgetsOldOnes) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = one_model(backend.url())});
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m2"))).status(), 404);
    gateway.write_document(one_model(backend.url(), {}, {}, "m2"));
    ASSERT_TRUE(gateway.reload());
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m2"))).status(), 200);
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 404);
}

TEST(Reload, SeesAChangedFileByItself) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = one_model(backend.url())});
    gateway.write_document(one_model(backend.url(), {}, {}, "m2"));
    EXPECT_TRUE(eventually(
        [&] { return call(gateway.port(), post(kChat, chat("m2"))).status() == 200; }, 15s));
}

TEST(Reload, KeepsTheLastGoodDocumentWhenTheNewOneIsWrong) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = one_model(backend.url())});
    gateway.write_document("models: [{id: m1, variantz: []}]\n");
    ASSERT_TRUE(gateway.reload("failure"));
    EXPECT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    EXPECT_TRUE(gateway.ready());
    EXPECT_EQ(gateway.metrics().value("millrace_config_last_reload_success"), 0);
    EXPECT_NE(gateway.errors().find("variants"), std::string::npos) << "no suggestion in the log";
    gateway.write_document(one_model(backend.url()));
    ASSERT_TRUE(gateway.reload());
    EXPECT_EQ(gateway.metrics().value("millrace_config_last_reload_success"), 1);
}

TEST(Reload, OfTheSameDocumentChangesNothing) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = one_model(backend.url())});
    const auto generation = gateway.metrics().value("millrace_config_generation");
    ASSERT_TRUE(gateway.reload());
    EXPECT_EQ(gateway.metrics().value("millrace_config_generation"), generation);
}

TEST(Reload, LeavesARunningStreamAloneEvenWhenItsModelGoes) {
    ScriptedBackend backend([](BackendConnection& connection) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(stream_head() + chunk(event(chat_chunk("before "))));
        connection.wait_for("reloaded");
        connection.send(chunk(event(chat_chunk("after "))) + chunk("data: [DONE]\n\n") +
                        std::string(kLastChunk));
        connection.wait_until_gone();
    });
    const ScriptedBackend other(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway({.document = one_model(backend.url())});
    RawClient client(gateway.port());
    client.send(post(kChat, chat("m1", true)));
    ASSERT_TRUE(client.read_event("before"));
    gateway.write_document(one_model(other.url(), {}, {}, "m2"));
    ASSERT_TRUE(gateway.reload());
    ASSERT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 404);
    backend.release("reloaded");
    const auto answer = client.read_response();
    ASSERT_TRUE(answer && answer->complete);
    EXPECT_EQ(judge_stream(answer->body).content, "before after ");
    EXPECT_TRUE(gateway.quiet());
}

TEST(Reload, KeepsTheExactSplitOverReloads) {
    const ScriptedBackend a(ScriptedBackend::answering(well_behaved));
    const ScriptedBackend b(ScriptedBackend::answering(well_behaved));
    const auto document = [&](int nonce) {
        return "models: [{id: m1, aliases: [alias-" + std::to_string(nonce) +
               "], variants: [{name: s, weight: 3, backend: a}, {name: c, weight: 1, backend: "
               "b}]}]\n"
               "backends: {a: {endpoints: {static: [\"" +
               a.url() + "\"]}}, b: {endpoints: {static: [\"" + b.url() + "\"]}}}\n";
    };
    GatewayProcess gateway({.document = document(0)});
    for (int i = 0; i < 40; ++i) {
        if (i % 8 == 7) {
            gateway.write_document(document(i));
            ASSERT_TRUE(gateway.reload());
        }
        ASSERT_EQ(call(gateway.port(), post(kChat, chat("m1"))).status(), 200);
    }
    EXPECT_EQ(a.request_count(), 30U);
    EXPECT_EQ(b.request_count(), 10U);
}

/// One client in a loop; counts what did not go well.
struct Load {
    std::atomic<bool> stop{false};
    std::atomic<int> served{0};
    std::atomic<int> failed{0};

    void run(std::uint16_t port, bool stream) {
        while (!stop) {
            const auto answer =
                call(port, post(kChat, chat("m1", stream),
                                {{"x-sim-tokens", "20"}, {"x-sim-inter-token-ms", "2"}}));
            const bool good = answer.status() == 200 && answer.complete &&
                              (!stream || judge_stream(answer.body).done);
            ++(good ? served : failed);
        }
    }
};

TEST(Reload, UnderLoadRefusesResetsAndCutsNothing) {
    const SimProcess sim("m1");
    GatewayProcess gateway({.document = one_model(sim.url())});
    Load load;
    std::vector<std::thread> clients;
    for (int i = 0; i < 6; ++i) {
        clients.emplace_back([&, i] { load.run(gateway.port(), i % 2 == 0); });
    }
    for (int i = 0; i < 20; ++i) {
        const auto kind = i % 4;
        const auto extra = "aliases: [alias-" + std::to_string(i) + "]";
        gateway.write_document(kind == 3   ? "models: 1\n"
                               : kind == 2 ? one_model(sim.url())
                                           : one_model(sim.url(), {}, extra));
        EXPECT_TRUE(gateway.reload(kind == 3 ? "failure" : "success"));
    }
    EXPECT_TRUE(eventually([&] { return load.served > 100; }, 30s));
    load.stop = true;
    for (auto& client : clients) {
        client.join();
    }
    EXPECT_EQ(load.failed, 0);
    EXPECT_TRUE(gateway.quiet());
}

TEST(Reload, ChangesKeysAtOnce) {
    const auto line = [](const std::string& key) { return key_file_line("k", "team", key, "pep"); };
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess gateway(
        {.document = one_model(backend.url()) +
                     "authentication: {keys: {file: keys, pepper: {env: PEP}}}\n",
         .files = {{"keys", line("sk-one-000000000000")}},
         .environment = {{"PEP", "pep"}}});
    const auto ask = [&](const std::string& key) {
        return call(gateway.port(), post(kChat, chat("m1"), {{"Authorization", "Bearer " + key}}))
            .status();
    };
    EXPECT_EQ(ask("sk-one-000000000000"), 200);
    EXPECT_EQ(ask("sk-two-000000000000"), 401);
    gateway.write("keys", line("sk-two-000000000000"));
    ASSERT_TRUE(gateway.reload());
    EXPECT_EQ(ask("sk-one-000000000000"), 401);
    EXPECT_EQ(ask("sk-two-000000000000"), 200);
}

TEST(Start, FailsWithEveryProblemAndExitCode2) {
    GatewayProcess gateway(
        {.document = "models: [{id: m1, variants: [{name: s, backend: nowhere}]}]\nbackendz: {}\n",
         .wait_until_ready = false});
    EXPECT_EQ(gateway.wait(), 2);
    EXPECT_NE(gateway.errors().find("nowhere"), std::string::npos) << gateway.errors();
    EXPECT_NE(gateway.errors().find("backends"), std::string::npos) << gateway.errors();
    EXPECT_NE(gateway.errors().find("millrace.yaml:"), std::string::npos) << gateway.errors();
}

TEST(Start, FailsWithExitCode1WhenAPortIsTaken) {
    const ScriptedBackend backend(ScriptedBackend::answering(well_behaved));
    GatewayProcess first({.document = one_model(backend.url())});
    const auto document = read_file(first.directory() / "millrace.yaml");
    const TempDir directory;
    const auto ran =
        run({program("millrace"), "serve", "-c", directory.write("millrace.yaml", document)});
    EXPECT_EQ(ran.code, 1) << ran.output;
    EXPECT_NE(ran.output.find(std::to_string(first.port())), std::string::npos) << ran.output;
}

}  // namespace
}  // namespace millrace::test

// What tests of an attempt need: one attempt at a scripted backend, and how it ended.
// Thread-safety: none; a test's own thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/upstream/attempt.hpp"
#include "routing/discovery.hpp"
#include "routing/gate.hpp"
#include "tests/gateway/upstream/rig.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::gateway::testing_support {

using namespace std::chrono_literals;
using test::BackendConnection;
using test::ScriptedBackend;

inline constexpr std::string_view kRequest = "GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n";
inline constexpr std::string_view kChunkedHead =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How an attempt ended, seen from outside.
struct Ending {
    std::optional<Error> error;
    int status = 0;
    std::string body;
    bool complete = false;
};

class AttemptTest : public testing::Test {
protected:
    void begin(ScriptedBackend::Script script) {
        backend.emplace(std::move(script));
        go_to(test::loopback(), backend->port());
    }
    void go_to(const std::string& host, std::uint16_t port) {
        endpoint = std::make_unique<routing::EndpointState>(
            routing::EndpointAddress{host, port, false, {}}, 1, std::make_shared<routing::Gate>(1));
    }
    /// The next attempt; the one before it ends.
    Attempt& next() {
        attempt.emplace(rig.loop, rig.pool, rig.abort, options);
        return *attempt;
    }
    Result<void> send(std::string_view request = kRequest) {
        if (auto connected = rig.run(attempt->connect(*endpoint, runtime)); !connected) {
            return connected;
        }
        std::vector<std::string_view> gather{request};
        return rig.run(attempt->send(gather));
    }
    /// Reads one delivery; what it holds is added to `ending`.
    BodyProgress read(Ending& ending) {
        auto progress = rig.run(attempt->read(pieces));
        if (!progress) {
            ending.error = progress.error();
            return BodyProgress::more;
        }
        for (const auto piece : pieces) {
            ending.body += piece;
        }
        ending.complete = *progress == BodyProgress::complete;
        return *progress;
    }
    Ending run_to_head() {
        Ending ending;
        next();
        if (auto sent = send(); !sent) {
            ending.error = sent.error();
        } else if (auto headed = rig.run(attempt->read_head()); !headed) {
            ending.error = headed.error();
        } else {
            ending.status = attempt->head().status;
        }
        return ending;
    }
    /// One whole exchange. The connection goes where it should.
    Ending exchange() {
        auto ending = run_to_head();
        while (!ending.error && !ending.complete) {
            read(ending);
        }
        if (ending.complete) {
            attempt->finish(settings);
        }
        return ending;
    }
    /// Waits until the backend has read the request of an attempt that waits.
    void await_request(std::size_t count = 1) {
        ASSERT_TRUE(rig.turn_until([this, count] { return backend->request_count() >= count; }));
    }
    bool is_code(const Ending& ending, Errc code) const {
        return ending.error && ending.error->code == code;
    }

    testing_support::Rig rig;
    config::Backend settings;
    BackendRuntime runtime{&settings, nullptr, {}, std::make_shared<BackendLearned>()};
    AttemptOptions options;
    std::optional<ScriptedBackend> backend;
    std::unique_ptr<routing::EndpointState> endpoint;
    std::optional<Attempt> attempt;
    std::vector<std::string_view> pieces;
};

}  // namespace millrace::gateway::testing_support

// A fixture for what only a whole data listener shows: acceptor, workers and sessions on a loopback
// port, with the overload ladder in the test's hand. Thread-safety: one test thread.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gateway/server/acceptor.hpp"
#include "gateway/server/listen.hpp"
#include "tests/gateway/pipeline/world.hpp"
#include "tests/support/raw_client.hpp"

namespace millrace::gateway::testing_support {

/// An acceptor with two workers, on a port of its own.
class ServedTest : public testing::Test {
protected:
    void start() {
        world.publish();
        for (std::size_t i = 0; i < 2; ++i) {
            workers.push_back(std::make_unique<Worker>(
                i,
                SharedServices{clock, world.published, world.budget, world.overload,
                               world.response_ids, nullptr, 1,
                               [](const std::string& bug) { ADD_FAILURE() << bug; }},
                registry.slot(i), 1));
            workers.back()->start();
        }
        acceptor = std::make_unique<Acceptor>(listener->native(), workers, world.published,
                                              world.overload, registry.slot(2));
        acceptor->start();
    }
    void TearDown() override {
        acceptor.reset();
        workers.clear();
    }
    std::uint32_t connections() const {
        return workers[0]->connections() + workers[1]->connections();
    }
    test::RawClient connect() const { return test::RawClient(listener->port()); }
    /// Moves the ladder as the control thread does.
    void overload(const routing::OverloadPressure& pressure) {
        world.overload.update(pressure, looked_at);
    }
    /// Back to the ladder's first step.
    void relax() {
        for (int i = 0; i < 8; ++i) {
            world.overload.update({}, looked_at += std::chrono::seconds(1));
        }
    }

    PipelineWorld world;
    SystemClock clock;
    metrics::Registry registry{3};
    Result<Listener> listener = Listener::bind({test::loopback(), 0});
    std::vector<std::unique_ptr<Worker>> workers;
    std::unique_ptr<Acceptor> acceptor;
    Instant looked_at{};
};

}  // namespace millrace::gateway::testing_support

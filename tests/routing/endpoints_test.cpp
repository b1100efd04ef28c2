#include "routing/endpoints.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "routing/gate.hpp"
#include "tests/routing/addresses.hpp"

namespace millrace::routing {
namespace {

TEST(EndpointAddress, WritesUrlAndAuthority) {
    EXPECT_EQ(at(1).url(), "http://10.0.0.1:8000");
    EXPECT_EQ((EndpointAddress{"fd00::1", 443, true, ""}).url(), "https://[fd00::1]:443");
    EXPECT_EQ((EndpointAddress{"fd00::1", 443, true, ""}).authority(), "[fd00::1]:443");
    EXPECT_EQ((EndpointAddress{"10.0.0.1", 443, true, "vllm.svc"}).authority(), "vllm.svc:443");
}

TEST(EndpointLease, CountsExactlyWhileItLives) {
    auto endpoint = std::make_shared<EndpointState>(at(1), 1, std::make_shared<Gate>(1));
    {
        EndpointLease lease(endpoint);
        EXPECT_EQ(endpoint->in_flight, 1U);
        EndpointLease moved(std::move(lease));
        EXPECT_FALSE(
            lease);  // NOLINT(bugprone-use-after-move): an emptied lease is part of the contract
        EXPECT_EQ(endpoint->in_flight, 1U);
        EndpointLease other(endpoint);
        EXPECT_EQ(endpoint->in_flight, 2U);
        other = std::move(moved);
        EXPECT_EQ(endpoint->in_flight, 1U);
        other.release();
        other.release();
        EXPECT_EQ(endpoint->in_flight, 0U);
    }
    EXPECT_EQ(endpoint->in_flight, 0U);
    EXPECT_EQ(endpoint->dispatched, 2U);
}

TEST(PoolDirectory, FindsPoolsWhileSomebodyNamesThem) {
    PoolDirectory directory;
    auto a = directory.acquire("a");
    const auto b = directory.acquire("b");
    EXPECT_NE(a->id(), b->id());
    EXPECT_EQ(directory.acquire("a"), a);
    EXPECT_EQ(directory.find("a"), a);
    EXPECT_EQ(directory.all().size(), 2U);
    const auto id = a->id();
    a.reset();
    EXPECT_EQ(directory.find("a"), nullptr);
    EXPECT_NE(directory.acquire("a")->id(), id);
}

TEST(EndpointView, SeesEveryPublishedSet) {
    PoolDirectory directory;
    const auto a = directory.acquire("a");
    const auto b = directory.acquire("b");
    EndpointView view;
    EXPECT_TRUE(view.of(*b).endpoints.empty());
    b->update({at(1)});
    a->update({at(2), at(3)});
    EXPECT_EQ(view.of(*b).endpoints.size(), 1U);
    EXPECT_EQ(view.of(*a).endpoints.size(), 2U);
    b->update({});
    EXPECT_TRUE(view.of(*b).endpoints.empty());
}

}  // namespace
}  // namespace millrace::routing

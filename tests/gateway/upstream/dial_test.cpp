#include "gateway/upstream/dial.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "routing/discovery.hpp"
#include "routing/gate.hpp"
#include "tests/gateway/upstream/rig.hpp"
#include "tests/support/no_descriptors.hpp"
#include "tests/support/scripted_backend.hpp"

namespace millrace::gateway {
namespace {

using testing_support::Pending;

constexpr std::uint64_t kGeneration = 7;

class DialTest : public testing::Test {
protected:
    Task<Result<void>> dial_to(const std::string& host, std::uint16_t port, bool https = false) {
        endpoint = std::make_unique<routing::EndpointState>(
            routing::EndpointAddress{host, port, https, {}}, kGeneration,
            std::make_shared<routing::Gate>(1));
        return dial(rig.loop, connection, *endpoint, runtime);
    }

    testing_support::Rig rig;
    config::Backend settings;
    BackendRuntime runtime{&settings, nullptr, {}, std::make_shared<BackendLearned>()};
    std::unique_ptr<routing::EndpointState> endpoint;
    std::unique_ptr<Connection> connection;
};

TEST_F(DialTest, GivesAConnectionThatKnowsItsEndpoint) {
    const test::ScriptedBackend backend(
        [](test::BackendConnection& peer) { peer.wait_until_gone(); });
    ASSERT_TRUE(rig.run(dial_to(test::loopback(), backend.port())));
    EXPECT_TRUE(connection->socket.is_open());
    EXPECT_EQ(connection->generation, kGeneration);
    EXPECT_EQ(connection->tls, nullptr);
    connection.reset();
}

TEST_F(DialTest, ReportsABackendThatCannotBeReached) {
    const auto refused = rig.run(dial_to(test::loopback(), test::free_port()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::upstream_connect_failed);
    EXPECT_NE(refused.error().detail.find("refused"), std::string::npos) << refused.error().detail;
    const auto name = rig.run(dial_to("llm.example", 80));
    ASSERT_FALSE(name);
    EXPECT_EQ(name.error().code, Errc::upstream_connect_failed);
}

TEST_F(DialTest, ReportsABackendThatDoesNotSpeakTls) {
    config::UpstreamTls tls;
    tls.verify = false;
    const auto context = TlsClientContext::load(tls);
    ASSERT_TRUE(context) << context.error().detail;
    runtime.tls = *context;
    const test::ScriptedBackend backend([](test::BackendConnection& peer) {
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.wait_until_gone();
    });
    const auto failed = rig.run(dial_to(test::loopback(), backend.port(), /*https=*/true));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::upstream_connect_failed);
    EXPECT_NE(failed.error().detail.find("TLS to the backend failed"), std::string::npos)
        << failed.error().detail;
    connection.reset();
}

TEST_F(DialTest, DoesNotBlameTheBackendForOurOwnLackOfDescriptors) {
    const auto port = test::free_port();
    const test::NoDescriptors none;
    const auto failed = rig.run(dial_to(test::loopback(), port));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, Errc::server_overloaded);
    EXPECT_EQ(failed.error().origin, Origin::internal);
    EXPECT_NE(failed.error().detail.find("open files"), std::string::npos) << failed.error().detail;
}

TEST_F(DialTest, EndsWhenItsSocketIsClosed) {
    const test::NeverAccepting silent;
    const auto address = routing::parse_endpoint_url(silent.url());
    ASSERT_TRUE(address);
    Pending<Result<void>> dialling(dial_to(address->host, address->port));
    rig.settle();
    ASSERT_FALSE(dialling.done());
    ASSERT_NE(connection, nullptr);
    connection->socket.close();
    EXPECT_FALSE(rig.finish(dialling));
}

}  // namespace
}  // namespace millrace::gateway

// TLS towards clients and towards backends, with certificates made by the openssl command and read
// with its client.
#include <gtest/gtest.h>

#include "tests/integration/rig.hpp"
#include "tests/support/openssl_command.hpp"

namespace millrace::test {
namespace {

/// curl against the data listener; `arguments` are added.
Ran curl(const GatewayProcess& gateway, std::vector<std::string> arguments,
         std::string_view path = "/v1/models") {
    std::vector<std::string> command{"curl", "-sS", "--max-time", "10", "--http1.1"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.push_back("https://" + loopback() + ':' + std::to_string(gateway.port()) +
                      std::string(path));
    return run(command);
}

std::string listener_tls(const Certificate& leaf, std::string_view more = {}) {
    return "tls: {certificate: \"" + leaf.certificate + "\", key: \"" + leaf.key + '"' +
           std::string(more) + '}';
}

class Tls : public testing::Test {
protected:
    TempDir directory_;
    Certificate authority_ = make_authority(directory_, "ca");
    Certificate leaf_ = make_leaf(directory_, authority_, "server", "gateway.test");
    ScriptedBackend backend_{ScriptedBackend::answering(well_behaved)};
};

TEST_F(Tls, ServesRequestsAndStreams) {
    const GatewayProcess gateway(
        {.document = one_model(backend_.url()), .data_listener = listener_tls(leaf_)});
    const auto list = curl(gateway, {"--cacert", authority_.certificate});
    EXPECT_EQ(list.code, 0) << list.output;
    EXPECT_NE(list.output.find("\"m1\""), std::string::npos) << list.output;
    const auto stream = curl(gateway,
                             {"--cacert", authority_.certificate, "-N", "-H",
                              "content-type: application/json", "-d", chat("m1", true).dump()},
                             kChat);
    EXPECT_EQ(judge_stream(stream.output).content, "t0 t1 t2 ") << stream.output;
    EXPECT_GE(gateway.metrics().sum("millrace_tls_handshakes_total", {{"result", "ok"}}), 2);
}

TEST_F(Tls, SpeaksVersions12And13AndNothingOlder) {
    const GatewayProcess gateway(
        {.document = one_model(backend_.url()), .data_listener = listener_tls(leaf_)});
    const auto with = [&](const std::string& version) {
        return curl(gateway,
                    {"--cacert", authority_.certificate, "--tlsv" + version, "--tls-max", version})
            .code;
    };
    EXPECT_EQ(with("1.2"), 0);
    EXPECT_EQ(with("1.3"), 0);
    EXPECT_NE(with("1.1"), 0);
}

TEST_F(Tls, RefusesPlainTextAndCountsIt) {
    const GatewayProcess gateway(
        {.document = one_model(backend_.url()), .data_listener = listener_tls(leaf_)});
    RawClient client(gateway.port());
    client.send(request("GET", "/v1/models"));
    const auto bytes = client.read_to_end();
    EXPECT_EQ(bytes.find("\"m1\""), std::string::npos);
    EXPECT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_tls_handshakes_total", {{"result", "failed"}}) == 1;
    }));
}

TEST_F(Tls, EndsAHandshakeThatDoesNotProceed) {
    const GatewayProcess gateway(
        {.document = one_model(backend_.url()) + "client_timeouts: {handshake: 300ms}\n",
         .data_listener = listener_tls(leaf_)});
    RawClient client(gateway.port());
    EXPECT_TRUE(client.closed_by_peer(5s));
    EXPECT_TRUE(eventually([&] {
        return gateway.metrics().sum("millrace_tls_handshakes_total", {{"result", "timeout"}}) == 1;
    }));
}

std::string subject_seen(const GatewayProcess& gateway) {
    return run({"sh", "-c",
                "openssl s_client -connect " + loopback() + ':' + std::to_string(gateway.port()) +
                    " </dev/null 2>/dev/null | openssl x509 -noout -subject"})
        .output;
}

TEST_F(Tls, TakesANewCertificateWithoutARestart) {
    GatewayProcess gateway(
        {.document = one_model(backend_.url()), .data_listener = listener_tls(leaf_)});
    ASSERT_NE(subject_seen(gateway).find("gateway.test"), std::string::npos)
        << subject_seen(gateway);
    const auto next = make_leaf(directory_, authority_, "next", "renewed.test");
    replace_file(leaf_.key, read_file(next.key));
    replace_file(leaf_.certificate, read_file(next.certificate));
    EXPECT_TRUE(
        eventually([&] { return subject_seen(gateway).contains("renewed.test"); }, 15s, 100ms))
        << subject_seen(gateway);
}

TEST_F(Tls, KeepsTheOldCertificateWhenTheNewOneIsBroken) {
    GatewayProcess gateway(
        {.document = one_model(backend_.url()), .data_listener = listener_tls(leaf_)});
    replace_file(leaf_.certificate, "not a certificate\n");
    ASSERT_TRUE(gateway.reload("failure"));
    EXPECT_NE(subject_seen(gateway).find("gateway.test"), std::string::npos);
}

TEST_F(Tls, AsksForClientCertificatesWhenTheyAreRequired) {
    const auto client = make_leaf(directory_, authority_, "client", "client.test");
    const auto stranger_ca = make_authority(directory_, "other-ca");
    const auto stranger = make_leaf(directory_, stranger_ca, "stranger", "client.test");
    const GatewayProcess gateway(
        {.document = one_model(backend_.url()),
         .data_listener = listener_tls(leaf_, ", client_certificates: required, client_ca: \"" +
                                                  authority_.certificate + '"')});
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), {"--cacert", authority_.certificate});
        return curl(gateway, more).code;
    };
    EXPECT_EQ(with({"--cert", client.certificate, "--key", client.key}), 0);
    EXPECT_NE(with({"--cert", stranger.certificate, "--key", stranger.key}), 0);
    EXPECT_NE(with({}), 0);
}

/// A gateway that serves `backend` over TLS: the simplest TLS backend there is.
struct TlsBackend {
    TlsBackend(const ScriptedBackend& backend, const Certificate& leaf, std::string_view more = {})
        : gateway(
              {.document = one_model(backend.url()), .data_listener = listener_tls(leaf, more)}) {}
    std::string url() const {
        return "https://" + loopback() + ':' + std::to_string(gateway.port());
    }
    GatewayProcess gateway;
};

TEST_F(Tls, KnowsATenantByItsClientCertificate) {
    const auto mapped = make_leaf(directory_, authority_, "mapped", "search.team");
    const auto other = make_leaf(directory_, authority_, "other", "other.team");
    const GatewayProcess gateway(
        {.document =
             one_model(backend_.url()) + "authentication: {certificates: {search.team: search}}\n",
         .data_listener = listener_tls(leaf_, ", client_certificates: optional, client_ca: \"" +
                                                  authority_.certificate + '"')});
    const auto tenant = [&](const std::string& id, std::vector<std::string> more) {
        more.insert(more.end(), {"--cacert", authority_.certificate, "-H", "x-request-id: " + id});
        EXPECT_EQ(curl(gateway, std::move(more)).code, 0);
        return gateway.access_line(id).value("tenant", "");
    };
    EXPECT_EQ(tenant("mapped", {"--cert", mapped.certificate, "--key", mapped.key}), "search");
    EXPECT_EQ(tenant("other", {"--cert", other.certificate, "--key", other.key}), "anonymous");
    EXPECT_EQ(tenant("none", {}), "anonymous");
}

TEST_F(Tls, ReachesABackendAndChecksItsCertificate) {
    const TlsBackend far(backend_, leaf_);
    const GatewayProcess checked(
        {.document = one_model(far.url(), "tls: {ca: \"" + authority_.certificate + "\"}")});
    EXPECT_EQ(call(checked.port(), post(kChat, chat("m1"))).status(), 200);
    EXPECT_TRUE(judge_stream(call(checked.port(), post(kChat, chat("m1", true))).body).done);

    const auto stranger = make_authority(directory_, "stranger");
    const GatewayProcess distrusting(
        {.document = one_model(far.url(), "tls: {ca: \"" + stranger.certificate + "\"}")});
    EXPECT_EQ(call(distrusting.port(), post(kChat, chat("m1"))).status(), 502);

    const GatewayProcess misnamed(
        {.document = one_model(
             far.url(), "tls: {ca: \"" + authority_.certificate + "\", server_name: other.test}")});
    EXPECT_EQ(call(misnamed.port(), post(kChat, chat("m1"))).status(), 502);

    const GatewayProcess careless({.document = one_model(far.url(), "tls: {verify: false}")});
    EXPECT_EQ(call(careless.port(), post(kChat, chat("m1"))).status(), 200);
}

TEST_F(Tls, PresentsItsOwnCertificateToABackend) {
    const auto client = make_leaf(directory_, authority_, "client", "gateway-client.test");
    const TlsBackend far(
        backend_, leaf_,
        ", client_certificates: required, client_ca: \"" + authority_.certificate + '"');
    const auto ca = "tls: {ca: \"" + authority_.certificate + '"';
    const GatewayProcess with(
        {.document = one_model(far.url(), ca + ", certificate: \"" + client.certificate +
                                              "\", key: \"" + client.key + "\"}")});
    EXPECT_EQ(call(with.port(), post(kChat, chat("m1"))).status(), 200);
    const GatewayProcess without({.document = one_model(far.url(), ca + "}")});
    EXPECT_EQ(call(without.port(), post(kChat, chat("m1"))).status(), 502);
}

}  // namespace
}  // namespace millrace::test

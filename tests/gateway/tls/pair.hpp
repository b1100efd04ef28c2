// Two TLS sessions over a non-blocking socket pair, driven in turn on one thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>

#include "gateway/tls/session.hpp"
#include "tests/gateway/tls/certificates.hpp"

namespace millrace::gateway::testing_support {

class TlsPair {
public:
    TlsPair(const TlsServerContext& server_context, const TlsClientContext& client_context,
            const std::string& host = "gateway.test") {
        std::signal(SIGPIPE, SIG_IGN);
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets_.data()) !=
            0) {
            throw std::runtime_error("socketpair");
        }
        server.emplace(server_context, sockets_[0]);
        client.emplace(client_context, sockets_[1], host);
    }
    TlsPair(const TlsPair&) = delete;
    TlsPair& operator=(const TlsPair&) = delete;
    ~TlsPair() {
        server.reset();
        client.reset();
        close_server();
        close_client();
    }

    void close_server() { close(sockets_[0]); }
    void close_client() { close(sockets_[1]); }
    int server_socket() const { return sockets_[0]; }

    /// Lets both sides work until each is done or has failed.
    void shake() {
        for (int i = 0; i < 20 && (waits(client_step) || waits(server_step)); ++i) {
            if (waits(client_step)) {
                client_step = client->handshake();
            }
            if (waits(server_step)) {
                server_step = server->handshake();
            }
        }
        // With TLS 1.3 a client learns only from its first read that its certificate was refused.
        if (client_step.want == Want::none && server_step.want == Want::failed) {
            std::array<char, 64> buffer{};
            client_step = client->read(buffer.data(), buffer.size());
        }
    }

    bool good() const { return client_step.want == Want::none && server_step.want == Want::none; }

    std::optional<TlsSession> server;
    std::optional<TlsSession> client;
    Step server_step{Want::read};
    Step client_step{Want::read};

private:
    static bool waits(const Step& step) {
        return step.want == Want::read || step.want == Want::write;
    }
    static void close(int& socket) {
        if (socket >= 0) {
            ::close(socket);
            socket = -1;
        }
    }
    std::array<int, 2> sockets_{-1, -1};
};

inline config::ListenerTls listener_tls(const Leaf& leaf) {
    config::ListenerTls settings;
    settings.certificate = leaf.certificate;
    settings.key = leaf.key;
    return settings;
}

inline config::UpstreamTls upstream_tls(const std::string& ca) {
    config::UpstreamTls settings;
    settings.ca = ca;
    return settings;
}

/// Both contexts, or a test failure with OpenSSL's reason.
inline std::shared_ptr<const TlsServerContext> load_server(const config::ListenerTls& settings) {
    auto context = TlsServerContext::load(settings);
    EXPECT_TRUE(context) << (context ? "" : context.error().detail);
    return context ? *context : nullptr;
}

inline std::shared_ptr<const TlsClientContext> load_client(const config::UpstreamTls& settings) {
    auto context = TlsClientContext::load(settings);
    EXPECT_TRUE(context) << (context ? "" : context.error().detail);
    return context ? *context : nullptr;
}

}  // namespace millrace::gateway::testing_support

// A scripted peer for client tests: accepts one connection on a free loopback port, keeps what it
// was sent, answers with fixed bytes and closes. With a certificate it speaks TLS. Its thread ends
// with the connection or the destructor.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "gateway/tls/session.hpp"

namespace millrace::gateway::testing_support {

class CannedServer {
public:
    /// An empty answer means: say nothing and wait for the client to hang up.
    explicit CannedServer(std::string answer, const TlsServerContext* tls = nullptr)
        : answer_(std::move(answer)), tls_(tls) {
        std::signal(SIGPIPE, SIG_IGN);
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        socklen_t size = sizeof(address);
        if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 1) != 0 ||
            ::getsockname(listener_, generic, &size) != 0) {
            throw std::runtime_error("listen");
        }
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { serve(); });
    }
    CannedServer(const CannedServer&) = delete;
    CannedServer& operator=(const CannedServer&) = delete;
    ~CannedServer() {
        ::shutdown(listener_, SHUT_RDWR);
        if (thread_.joinable()) {
            thread_.join();
        }
        ::close(listener_);
    }

    std::string port() const { return std::to_string(port_); }
    /// What the client sent; waits for the connection to end.
    const std::string& received() {
        thread_.join();
        return received_;
    }

private:
    void serve() {
        const int peer = ::accept(listener_, nullptr, nullptr);
        if (peer < 0) {
            return;
        }
        {
            std::optional<TlsSession> session;
            if (tls_ != nullptr) {
                session.emplace(*tls_, peer);  // the socket blocks, so no call has to wait
            }
            if (!session || session->handshake().want == Want::none) {
                talk(peer, session ? &*session : nullptr);
            }
        }
        ::close(peer);
    }

    void talk(int peer, TlsSession* session) {
        std::array<char, 4096> buffer{};
        while (answer_.empty() || !complete()) {
            const auto room =
                session != nullptr ? 1 : buffer.size();  // read() of a session fills its buffer
            const auto got = session != nullptr
                                 ? static_cast<ssize_t>(session->read(buffer.data(), room).bytes)
                                 : ::read(peer, buffer.data(), room);
            if (got <= 0) {
                return;
            }
            received_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        if (session != nullptr) {
            const iovec span{answer_.data(), answer_.size()};
            session->write({&span, 1});
            session->shutdown();
        } else if (::write(peer, answer_.data(), answer_.size()) < 0) {
            return;
        }
        ::shutdown(peer, SHUT_WR);
        while (::read(peer, buffer.data(), buffer.size()) > 0) {
        }
    }

    /// The head has ended and the body is as long as Content-Length says.
    bool complete() const {
        const auto head = received_.find("\r\n\r\n");
        if (head == std::string::npos) {
            return false;
        }
        const auto field = received_.find("Content-Length: ");
        const auto length = field < head ? std::stoul(received_.substr(field + 16)) : 0;
        return received_.size() >= head + 4 + length;
    }

    std::string answer_;
    const TlsServerContext* tls_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::string received_;
    std::thread thread_;
};

}  // namespace millrace::gateway::testing_support
